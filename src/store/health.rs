//! Does the database answer, and has it been set up?

use super::{Operation, Rows, Statement};
use crate::error::ApiError;

/// Reads a row of the first migration, and a column of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckDatabase;

impl Operation for CheckDatabase {
    type Output = ();

    fn statements(&self) -> Vec<Statement> {
        vec![Statement {
            sql: "SELECT 'true' AS json FROM roles, sweeper WHERE database_id <> '' AND told_upload_id IS NOT NULL LIMIT 1",
            params: Vec::new(),
        }]
    }

    fn decode(&self, rows: &Rows) -> Result<(), ApiError> {
        match rows.first::<bool>(0)? {
            Some(true) => Ok(()),
            _ => Err(ApiError::Internal(
                "the tables roles or sweeper are empty; apply the migrations".to_owned(),
            )),
        }
    }
}
