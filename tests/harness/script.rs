//! The form of a script: steps of a word, an argument and an indented body.
//!
//! Owns: reading it. Never knows what a word means.

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Line in the file, from 1.
    pub line: usize,
    /// First word.
    pub word: String,
    /// The rest of its line.
    pub argument: String,
    /// The indented lines below, without their common indentation; empty lines inside are kept.
    pub body: Vec<String>,
}

impl Step {
    /// The body as one text.
    pub fn text(&self) -> String {
        let mut text = self.body.join("\n");
        text.push('\n');
        text
    }

    /// The argument's words. Double quotes keep spaces together.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut word = None::<String>;
        let mut quoted = false;
        for letter in self.argument.chars() {
            match letter {
                '"' => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                ' ' if !quoted => words.extend(word.take()),
                _ => word.get_or_insert_default().push(letter),
            }
        }
        words.extend(word);
        words
    }
}

/// Reads a script.
///
/// # Errors
/// `line: what is wrong`, when a body stands above every step.
pub fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let indented = line.starts_with([' ', '\t']);
        if !indented && (line.starts_with('#') || line.trim().is_empty()) {
            if let Some(step) = steps.last_mut().filter(|step| line.is_empty() && !step.body.is_empty()) {
                step.body.push(String::new());
            }
            continue;
        }
        if indented {
            let step = steps.last_mut().ok_or_else(|| format!("{}: a body without its step", index + 1))?;
            step.body.push(line.to_owned());
            continue;
        }
        let (word, argument) = line.split_once(' ').unwrap_or((line, ""));
        steps.push(Step {
            line: index + 1,
            word: word.to_owned(),
            argument: argument.trim().to_owned(),
            body: Vec::new(),
        });
    }
    for step in &mut steps {
        undent(&mut step.body);
    }
    Ok(steps)
}

/// Removes trailing empty lines and the indentation that all lines share.
fn undent(body: &mut Vec<String>) {
    while body.last().is_some_and(|line| line.trim().is_empty()) {
        body.pop();
    }
    let indentation = |line: &String| line.len() - line.trim_start().len();
    let shared = body.iter().filter(|line| !line.trim().is_empty()).map(indentation).min().unwrap_or(0);
    for line in body {
        *line = line.get(shared..).unwrap_or_default().to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_steps_with_bodies() {
        let steps = parse("# why\nsql\n  CREATE TABLE t (\n    id int);\n\n  INSERT\n\nquery SELECT 1\n  1|a\nkill9\n")
            .unwrap();
        assert_eq!(steps.len(), 3);
        assert_eq!(steps[0].body, ["CREATE TABLE t (", "  id int);", "", "INSERT"]);
        assert_eq!((steps[1].word.as_str(), steps[1].argument.as_str(), steps[1].line), ("query", "SELECT 1", 8));
        assert_eq!(steps[2].body, Vec::<String>::new());
    }

    #[test]
    fn quotes_keep_words_together() {
        let step = &parse("naru sql \"SELECT 1\" --format csv \"\"\n").unwrap()[0];
        assert_eq!(step.words(), ["sql", "SELECT 1", "--format", "csv", ""]);
    }

    #[test]
    fn a_body_needs_a_step() {
        assert_eq!(parse("  lost\n").unwrap_err(), "1: a body without its step");
    }
}
