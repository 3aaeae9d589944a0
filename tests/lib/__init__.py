"""What the tests share: PostgreSQL servers, scratch directories, the papers beside the project."""
