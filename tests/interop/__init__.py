"""Stock restic and Holdfast on the same repositories, each reading what the other wrote."""
