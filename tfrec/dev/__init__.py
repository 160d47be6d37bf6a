"""Developer commands: `python -m tfrec.dev check | notebooks | docs`. CI runs `check`."""
