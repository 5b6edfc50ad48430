//! Shapes that several nouns of the API share: a problem within an answer, and a moment.
//!
//! Owns: [`ProblemView`] and the text of a moment. An answer that is itself a problem is [`super::ApiProblem`]'s.

use jiff::Timestamp;
use naru_base::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that is wrong with an object of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemView {
    /// Stable code, which translations go by.
    pub code: String,
    /// What happened.
    pub summary: String,
    /// Why.
    #[serde(default)]
    pub detail: Option<String>,
    /// What to do.
    #[serde(default)]
    pub hint: Option<String>,
    /// Where in the project folder.
    #[serde(default)]
    pub place: Option<PlaceView>,
}

/// A position in a file of the project folder, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlaceView {
    /// The file, relative to the folder.
    pub file: String,
    /// Its line.
    pub line: usize,
    /// The column in characters.
    pub column: usize,
}

impl ProblemView {
    /// A problem of this process.
    pub fn of(problem: &Problem) -> Self {
        let place = problem.place.as_ref().map(|place| PlaceView {
            file: place.file.display().to_string(),
            line: place.line,
            column: place.column,
        });
        Self {
            code: problem.code.to_string(),
            summary: problem.summary.clone(),
            detail: problem.detail.clone(),
            hint: problem.hint.clone(),
            place,
        }
    }

    /// A problem as it was stored; none when it is none.
    pub fn of_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

/// RFC 3339 in UTC, of microseconds since 1970.
pub fn time_text(at_us: i64) -> String {
    Timestamp::from_microsecond(at_us).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}
