"""The status API: what the aggregator knows of each server and set, and why it did what it did."""
