//! Writes the `NARU_FAILPOINTS` variable that `naru_base::failpoint` reads.
//!
//! Owns: the spelling. Never sets a variable of this process: faults belong to the `naru` a test starts.

use std::time::Duration;

/// A list of faults for one process, for example "abort at the third Delta commit".
#[derive(Debug, Clone, Default)]
pub struct Failpoints {
    entries: Vec<String>,
}

impl Failpoints {
    /// The variable's name.
    pub const VARIABLE: &'static str = "NARU_FAILPOINTS";

    /// No faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the process without clean-up at the `visit`-th (from 1) passage of `name`.
    #[must_use]
    pub fn kill(self, name: &str, visit: u64) -> Self {
        self.with(format!("{name}=kill@{visit}"))
    }

    /// Fails the `visit`-th (from 1) passage of `name`.
    #[must_use]
    pub fn error(self, name: &str, visit: u64) -> Self {
        self.with(format!("{name}=error@{visit}"))
    }

    /// Fails every passage of `name`.
    #[must_use]
    pub fn error_always(self, name: &str) -> Self {
        self.with(format!("{name}=error"))
    }

    /// Delays every passage of `name`.
    #[must_use]
    pub fn sleep(self, name: &str, wait: Duration) -> Self {
        self.with(format!("{name}=sleep:{}", wait.as_millis()))
    }

    /// The variable's value.
    pub fn value(&self) -> String {
        self.entries.join(";")
    }

    fn with(mut self, entry: String) -> Self {
        self.entries.push(entry);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_spelled_as_base_reads_them() {
        let faults = Failpoints::new()
            .kill("lake.before_commit", 3)
            .error("sync.before_ack", 1)
            .sleep("x", Duration::from_millis(20));
        assert_eq!(faults.value(), "lake.before_commit=kill@3;sync.before_ack=error@1;x=sleep:20");
    }
}
