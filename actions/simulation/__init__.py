"""What a change of the rules would have made of the last days: the engine itself, on a clock that is moved by hand."""
