"""Serves the deployed functions over HTTP, through the events that AWS Lambda function URLs send."""
