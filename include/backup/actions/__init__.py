"""What Holdfast does: one verb a module, each leaving its evidence."""
