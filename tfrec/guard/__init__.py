"""What every SavedModel passes before tfrec loads it: a SavedModel is a program."""
