"""The page of `gdm explore`: what its controls do (`session`), where images come from (`workbench`), how it looks (`page`)."""
