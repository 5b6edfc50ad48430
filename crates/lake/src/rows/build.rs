//! Rows of JSON into columns, one whole row at a time.
//!
//! Owns: [`RowBuilder`]: the walk of a checked text beside the columns, and what each type takes
//! (`docs/reference/topics.md`). A row with a fault leaves nothing behind. Never parses JSON (see [`super::tape`]).

use std::borrow::Cow;

use arrow::{array::NullBufferBuilder, error::ArrowError, record_batch::RecordBatch};

use super::{
    cells::{Bytes, Cells, List, Members, Values},
    extra::{Extra, Step},
    fault::{Fault, FaultKind},
    scalar,
    shape::{RowShape, Scalar, Unknown},
    tape::{Node, Tape, Token, unescape},
};

/// Rows in a batch before [`RowBuilder::is_full`].
const ROWS_MAX: usize = 65_536;
/// Bytes of JSON in a batch before [`RowBuilder::is_full`]; columns of so much stay below Arrow's 2 GiB.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// A row that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pushed {
    /// With [`Unknown::Evolve`]: the fields of the top level that are no column, in the row's order.
    pub unknown: Vec<Sighting>,
}

/// A field that is no column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Its name.
    pub name: String,
    /// The GoogleSQL type that holds the value exactly as JSON says it; `None` for null, and for integers beyond 64
    /// bits.
    pub sql_type: Option<&'static str>,
}

/// Collects rows and makes them a batch. Its memory is used again from batch to batch.
#[derive(Debug)]
pub struct RowBuilder {
    shape: RowShape,
    tape: Tape,
    scratch: Scratch,
    root: Members,
    extra: Bytes,
    extra_valid: NullBufferBuilder,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Scratch {
    text: Vec<u8>,
    extra: Extra,
    /// Containers from the row down to where the walk is, by their nodes.
    path: Vec<(u32, Step)>,
}

impl RowBuilder {
    /// An empty one.
    pub fn new(shape: &RowShape) -> Self {
        Self {
            root: Members::new(&shape.inner.names, &shape.inner.kinds),
            shape: shape.clone(),
            tape: Tape::default(),
            scratch: Scratch::default(),
            extra: Bytes::new(),
            extra_valid: NullBufferBuilder::new(0),
            bytes: 0,
        }
    }

    /// Takes one row: the bytes of one JSON object.
    ///
    /// # Errors
    /// The first fault in the row's own order; nothing of the row is left. [`FaultKind::Full`] is no fault of the row:
    /// finish the batch and push it again. It never comes before [`Self::is_full`] says so.
    pub fn push(&mut self, json: &[u8]) -> Result<Pushed, Fault> {
        if self.is_full() {
            return Err(Fault::whole(FaultKind::Full, "less than a full batch", "one row more"));
        }
        let rows = self.root.rows;
        let pushed = self.row(json);
        match &pushed {
            Ok(_) => self.bytes = self.bytes.saturating_add(json.len()),
            Err(_) => self.truncate(rows),
        }
        pushed
    }

    /// Judges one row as [`Self::push`] does, and keeps nothing.
    ///
    /// # Errors
    /// As [`Self::push`], without [`FaultKind::Full`].
    pub fn check(&mut self, json: &[u8]) -> Result<(), Fault> {
        let rows = self.root.rows;
        let checked = self.row(json).map(|_| ());
        self.truncate(rows);
        checked
    }

    /// Rows taken since the last batch.
    pub fn rows(&self) -> usize {
        self.root.rows
    }

    /// Whether the batch must be finished before it takes more.
    pub fn is_full(&self) -> bool {
        self.root.rows >= ROWS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    /// The rows as arrays of [`RowShape::columns`]; the builder is empty afterwards.
    ///
    /// # Errors
    /// None that a row can cause: Arrow found the arrays unsound.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let schema = &self.shape.inner.schema;
        let mut arrays = self.root.finish(schema.fields().iter().map(|field| field.data_type()))?;
        if self.shape.inner.unknown != Unknown::Reject {
            arrays.push(Cells::finish_text(&mut self.extra, &mut self.extra_valid)?);
        }
        self.bytes = 0;
        RecordBatch::try_new(schema.clone(), arrays)
    }

    fn truncate(&mut self, rows: usize) {
        self.root.truncate(rows);
        self.extra.truncate(rows);
        self.extra_valid.truncate(rows);
    }

    fn row(&mut self, json: &[u8]) -> Result<Pushed, Fault> {
        self.tape.read(json)?;
        let top = self.tape.node(0);
        if top.token != Token::Object {
            return Err(Fault::whole(FaultKind::Type, "a JSON object", top.type_name()));
        }
        let row = self.root.rows;
        self.scratch.extra.clear();
        self.scratch.path.clear();
        let mut walk = Walk {
            text: json,
            tape: &self.tape,
            scratch: &mut self.scratch,
            unknown: self.shape.inner.unknown,
            pushed: Pushed::default(),
        };
        walk.object(&mut self.root, 0).map_err(Fault::in_row)?;
        let pushed = walk.pushed;
        for at in &self.shape.inner.required {
            if self.root.fields.get(*at).is_some_and(|cells| cells.is_null(row)) {
                let expected = self.shape.inner.kinds.get(*at).map(ToString::to_string).unwrap_or_default();
                let fault = Fault::here(FaultKind::Missing, expected, "nothing");
                return Err(fault.in_member(self.root.names.get(*at)).in_row());
            }
        }
        if self.shape.inner.unknown == Unknown::Reject {
            return Ok(pushed);
        }
        let text = self.scratch.extra.end();
        self.extra_valid.append(!text.is_empty());
        self.extra.bytes.extend_from_slice(text);
        self.extra.end().map_err(Fault::in_row)?;
        Ok(pushed)
    }
}

/// One row on its way into the columns.
struct Walk<'w> {
    text: &'w [u8],
    tape: &'w Tape,
    scratch: &'w mut Scratch,
    unknown: Unknown,
    pushed: Pushed,
}

impl Walk<'_> {
    /// The members of the object at `at` into the next row of `members`.
    fn object(&mut self, members: &mut Members, at: u32) -> Result<(), Fault> {
        let row = members.rows;
        let end = self.tape.node(at).next;
        let mut before = 0;
        let mut child = at.saturating_add(1);
        while child < end {
            let (name, place) = (self.tape.node(child), child.saturating_add(1));
            let value = self.tape.node(place);
            child = value.next;
            let plain = plain(self.text, name);
            match members.find(&plain, &mut before) {
                Some(found) => {
                    let Members { fields, names, .. } = &mut *members;
                    let Some(cells) = fields.get_mut(found) else { continue };
                    let within = |fault: Fault| fault.in_member(names.get(found));
                    if cells.rows() > row {
                        let fault = Fault::here(FaultKind::Duplicate, "a field once", "the same field again");
                        return Err(within(fault));
                    }
                    self.value(cells, place, value, Step::Member(name)).map_err(within)?;
                }
                None => self.stranger(name, &plain, value)?,
            }
        }
        members.end();
        Ok(())
    }

    fn value(&mut self, cells: &mut Cells, at: u32, node: Node, step: Step) -> Result<(), Fault> {
        if node.token == Token::Null {
            cells.push_null();
            return Ok(());
        }
        match &mut cells.values {
            Values::Scalar(scalar, store) => {
                let source = scalar::Source { text: self.text, node, scratch: &mut self.scratch.text };
                scalar::push(*scalar, store, source).map_err(|(kind, got)| Fault::here(kind, scalar.name(), got))?;
            }
            Values::List(list) => {
                if node.token != Token::Array {
                    return Err(Fault::here(FaultKind::Type, "an array", node.type_name()));
                }
                self.scratch.path.push((at, step));
                self.list(list, at, node)?;
                self.scratch.path.pop();
            }
            Values::Struct(members) => {
                if node.token != Token::Object {
                    return Err(Fault::here(FaultKind::Type, "an object", node.type_name()));
                }
                self.scratch.path.push((at, step));
                self.object(members, at)?;
                self.scratch.path.pop();
            }
        }
        cells.push_valid();
        Ok(())
    }

    fn list(&mut self, list: &mut List, at: u32, node: Node) -> Result<(), Fault> {
        let mut child = at.saturating_add(1);
        let mut index = 0;
        while child < node.next {
            let item = self.tape.node(child);
            self.item(&mut list.items, child, item, index).map_err(|fault| fault.in_element(index))?;
            child = item.next;
            index += 1;
        }
        list.end()
    }

    /// BigQuery's arrays hold no NULL; JSON has a null of its own.
    fn item(&mut self, cells: &mut Cells, at: u32, node: Node, index: usize) -> Result<(), Fault> {
        if node.token != Token::Null {
            return self.value(cells, at, node, Step::Element(index));
        }
        if let Values::Scalar(scalar @ Scalar::Json, store) = &mut cells.values {
            let source = scalar::Source { text: self.text, node, scratch: &mut self.scratch.text };
            scalar::push(*scalar, store, source).map_err(|(kind, got)| Fault::here(kind, scalar.name(), got))?;
            cells.push_valid();
            return Ok(());
        }
        Err(Fault::here(FaultKind::Type, "an element that is not null", "null"))
    }

    /// A field that is no column.
    fn stranger(&mut self, name: Node, plain: &[u8], value: Node) -> Result<(), Fault> {
        let spelled = || String::from_utf8_lossy(plain).into_owned();
        match self.unknown {
            Unknown::Reject => {
                let fault = Fault::here(FaultKind::Unknown, "a column of the topic", "a field that is none");
                return Err(fault.in_member(&spelled()));
            }
            Unknown::Evolve if self.scratch.path.is_empty() => {
                let sighting = Sighting { name: spelled(), sql_type: scalar::guess(self.text, value) };
                self.pushed.unknown.push(sighting);
            }
            Unknown::Extra | Unknown::Evolve => {}
        }
        let Scratch { extra, path, .. } = &mut *self.scratch;
        extra.add(self.text, path, name, value);
        Ok(())
    }
}

/// A name without its escapes.
fn plain(text: &[u8], name: Node) -> Cow<'_, [u8]> {
    if name.token != Token::Escaped {
        return Cow::Borrowed(name.of(text));
    }
    let mut plain = Vec::new();
    unescape(name.of(text), &mut plain);
    Cow::Owned(plain)
}
