"""S3 and SQS on this machine: moto's server, in memory, behind S3's rules for browsers."""
