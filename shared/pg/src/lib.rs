//! PostgreSQL's formats: LSN, segment and timeline names, pages, pg_control, WAL page headers
