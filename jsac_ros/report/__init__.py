"""What happened in a run: tables while it goes on, and a summary, curves and a page from them afterwards."""
