//! From key columns to hashes.
//!
//! Owns: the encoding of a key (arrow's row format, columns in key order, hashed with XXH3 to 128 bits) and its
//! fingerprint, by which an index written under another encoding is recognised.
//! Never normalises: equal keys must come as equal values (numeric keys without trailing zeros, and so on).

use std::sync::Arc;

use arrow::{
    array::ArrayRef,
    compute::cast,
    datatypes::DataType,
    row::{RowConverter, SortField},
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::IndexError;

/// Raised whenever a key's bytes change; the golden test below notices if a new arrow changes them.
const ENCODING: u32 = 1;

/// Hashes key columns. The same values give the same hash in every batch, process and release of this encoding.
#[derive(Debug, Clone)]
pub struct KeyHasher {
    types: Vec<DataType>,
    converter: Arc<RowConverter>,
}

impl KeyHasher {
    /// A hasher for key columns of these types, in key order.
    ///
    /// # Errors
    /// [`IndexError::Key`] for a type that arrow cannot order (maps).
    pub fn new(types: &[DataType]) -> Result<Self, IndexError> {
        // Text and its view and large forms are the same key; so are the binary ones.
        let types: Vec<_> = types.iter().map(plain).collect();
        let fields = types.iter().cloned().map(SortField::new).collect();
        Ok(Self { converter: Arc::new(RowConverter::new(fields)?), types })
    }

    /// One hash per row of `columns`, which hold the key's columns in key order.
    ///
    /// # Errors
    /// [`IndexError::Key`] if a column cannot be read as its key type.
    pub fn hash(&self, columns: &[ArrayRef]) -> Result<Vec<u128>, IndexError> {
        let columns = columns
            .iter()
            .zip(&self.types)
            .map(
                |(column, wanted)| {
                    if column.data_type() == wanted { Ok(Arc::clone(column)) } else { cast(column, wanted) }
                },
            )
            .collect::<Result<Vec<_>, _>>()?;
        let rows = self.converter.convert_columns(&columns)?;
        Ok(rows.iter().map(|row| xxh3_128(row.as_ref())).collect())
    }

    /// Changes when the key's columns, their types or the encoding change.
    pub fn fingerprint(&self, names: &[String]) -> String {
        let text = format!("{ENCODING} {names:?} {:?}", self.types);
        format!("{:016x}", xxh3_64(text.as_bytes()))
    }
}

fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, value) => plain(value),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray, StringViewArray};

    use super::*;

    #[test]
    fn hashes_do_not_depend_on_the_batch_or_on_how_text_is_stored() {
        let hasher = KeyHasher::new(&[DataType::Int64, DataType::Utf8]).unwrap();
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "", "서울의 아주 긴 이름은 여기에 있다"]));
        let views: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "", "서울의 아주 긴 이름은 여기에 있다"]));
        let whole = hasher.hash(&[Arc::clone(&ids), names.clone()]).unwrap();
        let viewed = hasher.hash(&[Arc::clone(&ids), views]).unwrap();
        let part = hasher.hash(&[ids.slice(2, 1), names.slice(2, 1)]).unwrap();
        assert_eq!(whole, viewed);
        assert_eq!(whole[2], part[0]);
        assert_ne!(whole[0], whole[1]);
    }

    #[test]
    fn the_encoding_of_a_key_is_the_one_that_indexes_on_disk_were_written_with() {
        // If this fails after an upgrade of arrow, raise ENCODING: every index is then rebuilt once.
        let hasher = KeyHasher::new(&[DataType::Int64, DataType::Utf8]).unwrap();
        let hashes =
            hasher.hash(&[Arc::new(Int64Array::from(vec![42])), Arc::new(StringArray::from(vec!["naru"]))]).unwrap();
        let mut key = vec![1, 0x80, 0, 0, 0, 0, 0, 0, 42, 2];
        key.extend(*b"naru\0\0\0\0\x04");
        assert_eq!(hashes, [xxh3_128(&key)]);
    }

    #[test]
    fn the_fingerprint_names_columns_and_types() {
        let print = |types: &[DataType], names: &[&str]| {
            KeyHasher::new(types).unwrap().fingerprint(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(print(&[DataType::Utf8], &["id"]), print(&[DataType::Utf8View], &["id"]));
        assert_ne!(print(&[DataType::Utf8], &["id"]), print(&[DataType::Int64], &["id"]));
        assert_ne!(print(&[DataType::Utf8], &["id"]), print(&[DataType::Utf8], &["uid"]));
    }
}
