"""The tests of Amends; the folder says the kind, and the marker of a test is its folder's name."""
