//! Why a word ended without doing what was asked.
//!
//! Owns: [`Failure`], whose exit status scripts rely on. Knows no word.

use std::process::ExitCode;

use naru_base::Problem;

/// Why a word ended without doing what was asked.
#[derive(Debug)]
pub enum Failure {
    /// It failed; problems say why. Exit status 1.
    Problems(Vec<Problem>),
    /// It was misused. Exit status 2.
    Misused(String),
    /// It did its work and the answer is "no" (`check` found mistakes that it has printed). Exit status 1.
    Said,
}

impl Failure {
    /// Prints the reason on standard error and gives the exit status.
    pub fn print(self) -> ExitCode {
        match self {
            Self::Problems(problems) => {
                for problem in problems {
                    eprintln!("{problem}");
                }
                ExitCode::FAILURE
            }
            Self::Misused(reason) => {
                eprintln!("{reason}");
                ExitCode::from(2)
            }
            Self::Said => ExitCode::FAILURE,
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problems(vec![problem])
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Problem::from_error("cli.io", "reading or writing failed", &error).into()
    }
}
