//! The chain of the audit: each row's hash covers the row and the hash of the row before.
//!
//! Owns: what is hashed and how, adding rows, walking them again. Whoever may write the file can write a whole new
//! chain, so the head goes to the log every day: [`verify`] compares with a head that was kept elsewhere.

use std::fmt::Write as _;

use naru_store::{
    Store, StoreError, Transaction,
    audit::{self, AuditRow},
};
use sha2::{Digest as _, Sha256};

/// What is hashed before the first row.
const BEGINNING: [u8; 32] = [0; 32];
/// Says which fields are hashed in which order.
const FORM: &[u8] = b"naru-audit-1";
/// Rows that are walked at a time.
const PAGE: usize = 4_096;

/// A row's number and hash, as the log says them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The row's number.
    pub id: i64,
    /// Its hash, as 64 hexadecimal digits.
    pub hash: String,
}

/// What a walk over the chain found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Rows that were walked and are as they were written.
    pub rows: u64,
    /// The last of them.
    pub head: Option<Head>,
    /// The first that is not.
    pub broken: Option<Broken>,
}

/// Where the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The row's number.
    pub id: i64,
    /// What is wrong with it.
    pub why: Fault,
}

/// How a chain can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A row with this number should be there and is not.
    Missing,
    /// The row, or its hash, is not as it was written.
    Changed,
    /// The row is sound in itself and not the one whose hash was kept elsewhere.
    Replaced,
}

impl Fault {
    /// Its word in answers of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Replaced => "replaced",
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "is missing",
            Self::Changed => "was changed after it was written",
            Self::Replaced => "is not the one whose hash was kept",
        })
    }
}

/// A hash as text.
pub fn hex(hash: &[u8; 32]) -> String {
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Names as the audit keeps them, a JSON array.
pub(super) fn json_names(names: &[String]) -> String {
    serde_json::Value::from(names.to_vec()).to_string()
}

/// Reads names back.
pub fn names(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

/// The hash of a row behind another.
fn link(previous: &[u8; 32], row: &AuditRow) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(FORM);
    hasher.update(previous);
    hasher.update(row.id.to_le_bytes());
    hasher.update(row.at_us.to_le_bytes());
    let texts = [
        Some(&row.account),
        Some(&row.account_kind),
        Some(&row.door),
        row.address.as_ref(),
        Some(&row.client),
        Some(&row.action),
        row.sql.as_ref(),
        Some(&row.tables),
        Some(&row.result),
        row.detail.as_ref(),
        row.reason.as_ref(),
    ];
    for text in texts {
        // The length goes first, so that no two rows hash the same bytes; nothing differs from an empty text.
        match text {
            Some(text) => {
                hasher.update([1]);
                hasher.update(naru_base::number::u64_from(text.len()).to_le_bytes());
                hasher.update(text.as_bytes());
            }
            None => hasher.update([0]),
        }
    }
    for number in [row.rows, row.bytes, row.bytes_read, row.took_us] {
        hasher.update([u8::from(number.is_some())]);
        hasher.update(number.unwrap_or_default().to_le_bytes());
    }
    hasher.finalize().into()
}

/// Adds rows behind the last one; their numbers and hashes are made here. SQLite lets one process at a time do it.
pub(super) fn append(transaction: &Transaction<'_>, rows: Vec<AuditRow>) -> Result<(), StoreError> {
    let (mut id, mut hash) = audit::head(transaction)?.unwrap_or((0, BEGINNING));
    for mut row in rows {
        id += 1;
        row.id = id;
        hash = link(&hash, &row);
        row.hash = hash;
        audit::insert(transaction, &row)?;
    }
    Ok(())
}

/// Walks the chain from its first row to its last, or to the first broken one. With `known`, the row of that number
/// must have that hash: what was cut off at the end, or written anew as a whole, shows only so.
pub(crate) async fn verify(store: &Store, known: Option<Head>) -> Result<Verdict, StoreError> {
    let (mut verdict, mut hash, mut id) = (Verdict::default(), BEGINNING, 0);
    loop {
        let page = store.read(move |tx| audit::after(tx, id, PAGE)).await?;
        if page.is_empty() {
            break;
        }
        for row in page {
            let expected = id + 1;
            let fault = if row.id != expected {
                Some((expected, Fault::Missing))
            } else if link(&hash, &row) != row.hash {
                Some((row.id, Fault::Changed))
            } else if known.as_ref().is_some_and(|known| known.id == row.id && known.hash != hex(&row.hash)) {
                Some((row.id, Fault::Replaced))
            } else {
                None
            };
            if let Some((id, why)) = fault {
                verdict.broken = Some(Broken { id, why });
                return Ok(verdict);
            }
            (id, hash) = (row.id, row.hash);
            verdict.rows += 1;
        }
        verdict.head = Some(Head { id, hash: hex(&hash) });
    }
    if let Some(known) = known.filter(|known| known.id > id) {
        verdict.broken = Some(Broken { id: id + 1, why: Fault::Missing });
        tracing::debug!(known = known.id, last = id, "the audit ends before a row that was known");
    }
    Ok(verdict)
}

/// Says the last row's number and hash in the log.
pub(super) async fn tell_head(store: &Store) {
    match store.read(|tx| audit::head(tx)).await {
        Ok(Some((id, hash))) => tracing::info!(row = id, hash = hex(&hash), "head of the audit"),
        Ok(None) => {}
        Err(error) => tracing::warn!(problem = %error.problem(), "the head of the audit could not be read"),
    }
}
