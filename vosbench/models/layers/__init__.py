"""Network layers shared by the methods; they know nothing of data, training or files."""
