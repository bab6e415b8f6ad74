"""Reads data sets as uint8 images (`datasets`) and makes batches of them (`feed`)."""
