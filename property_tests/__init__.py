"""The laws of gdm, held on every backend against `reference/`, closed forms and other libraries."""
