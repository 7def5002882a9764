"""Known answers: bytes that were right once and must come out the same for ever.

stock-0.14/   a repository made by restic 0.14.0, password "vectors": one snapshot of six files
              and a folder, with a quoted and a non-UTF-8 name, a hard link and a symlink
"""
