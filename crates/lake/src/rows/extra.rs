//! The fields of a row that are no column, as one JSON text in which each stands at its place.
//!
//! Owns: [`Extra`], which writes the text while the row is walked. Names and values keep their exact text; elements of
//! an array that have nothing to say are null. Never parses.

use super::tape::Node;

/// One step from the row down to a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Into the member with this name.
    Member(Node),
    /// Into the element with this index.
    Element(usize),
}

/// Bytes of memory that are kept for the next row.
const TEXT_KEPT: usize = 1 << 20;

/// The text of one row at a time.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) text: Vec<u8>,
    /// Containers that are open in the text, the row first.
    open: Vec<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    /// Which container of the row this is.
    id: u32,
    array: bool,
    /// What is in it already.
    items: usize,
}

impl Extra {
    pub(super) fn clear(&mut self) {
        if self.text.capacity() > TEXT_KEPT {
            self.text = Vec::new();
        }
        self.text.clear();
        self.open.clear();
    }

    /// Adds a member of `row`'s text to the object at the end of `path`, which has the identity and the step of every container below
    /// the row. Members must come in the row's own order.
    pub(super) fn add(&mut self, row: &[u8], path: &[(u32, Step)], name: Node, value: Node) {
        if self.open.is_empty() {
            self.enter(u32::MAX, false);
        }
        let ids = self.open.iter().skip(1).map(|open| open.id);
        let common = ids.zip(path).take_while(|(id, (wanted, _))| id == wanted).count();
        self.leave(common + 1);
        for (at, (id, step)) in path.iter().enumerate().skip(common) {
            self.step(row, *step);
            self.enter(*id, matches!(path.get(at + 1), Some((_, Step::Element(_)))));
        }
        self.step(row, Step::Member(name));
        self.text.extend_from_slice(value.json(row));
    }

    /// Ends the text; empty when nothing was added.
    pub(super) fn end(&mut self) -> &[u8] {
        self.leave(0);
        &self.text
    }

    fn enter(&mut self, id: u32, array: bool) {
        self.text.push(if array { b'[' } else { b'{' });
        self.open.push(Open { id, array, items: 0 });
    }

    fn leave(&mut self, depth: usize) {
        while self.open.len() > depth {
            let array = self.open.pop().is_some_and(|open| open.array);
            self.text.push(if array { b']' } else { b'}' });
        }
    }

    /// Writes what stands before a value in the innermost container.
    fn step(&mut self, row: &[u8], step: Step) {
        let Some(open) = self.open.last_mut() else { return };
        if let Step::Element(index) = step {
            while open.items < index {
                self.text.extend_from_slice(if open.items == 0 { b"null" } else { b",null" });
                open.items += 1;
            }
        }
        if open.items > 0 {
            self.text.push(b',');
        }
        open.items += 1;
        if let Step::Member(name) = step {
            self.text.extend_from_slice(name.json(row));
            self.text.push(b':');
        }
    }
}
