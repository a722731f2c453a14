"""Reports on runs: tables during the run; summary, curves and a page of them afterwards."""
