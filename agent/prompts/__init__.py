"""Prompt files. Each is a `string.Template`; `$goal`, `$summary`, `$observation`, `$actions` are filled in."""
