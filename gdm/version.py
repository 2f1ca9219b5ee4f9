"""The version of gdm, which every run records."""

VERSION = "0.1.0"
