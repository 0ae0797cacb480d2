"""What a gradient does on its way back, and what gates do over a text: numbers and pictures."""
