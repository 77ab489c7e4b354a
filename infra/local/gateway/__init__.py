"""Invokes the deployed functions with the events of AWS Lambda: for HTTP requests, and for messages of queues."""
