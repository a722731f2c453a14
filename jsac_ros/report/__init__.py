"""What happened in a run: tables while it lasts, and a summary, curves and a page from them afterwards."""
