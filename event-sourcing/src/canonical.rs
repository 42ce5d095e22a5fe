//! JSON in one canonical form: no white space, fields in their declared order, no field for `None`, maps sorted by key.

use serde::{Serialize, ser};
use std::fmt::Display;

/// Why a value has no canonical form.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoForm(String);

impl ser::Error for NoForm {
    fn custom<T: Display>(words: T) -> Self {
        Self(words.to_string())
    }
}

/// Appends a value; `null` where it is `None`.
pub(crate) fn append(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    if !write(text, value) {
        text.extend_from_slice(b"null");
    }
}

/// Appends `,"field":value`; nothing where the value is `None`.
pub(crate) fn append_field(text: &mut Vec<u8>, field: &str, value: &(impl Serialize + ?Sized)) {
    let before = text.len();
    text.push(b',');
    json(text, field);
    text.push(b':');
    if !write(text, value) {
        text.truncate(before);
    }
}

/// Writes a value; false if it is `None`, for which nothing is written.
fn write(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) -> bool {
    let mut writer = Writer { text, absent: false };
    value.serialize(&mut writer).expect("a command is made of structs, texts, numbers and lists, which all have a canonical form");
    !writer.absent
}

fn json(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(text, value).expect("texts and numbers are always JSON");
}

struct Writer<'a> {
    text: &'a mut Vec<u8>,
    /// Set by `None`.
    absent: bool,
}

/// A list, a struct or a map that is being written.
struct Open<'a, 'b> {
    writer: &'b mut Writer<'a>,
    first: bool,
    close: &'static [u8],
    /// A map's entries, which are sorted once all have been added.
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> Writer<'a> {
    fn open(&mut self, open: &[u8], close: &'static [u8]) -> Open<'a, '_> {
        self.text.extend_from_slice(open);
        Open { writer: self, first: true, close, entries: Vec::new() }
    }

    fn open_variant<'b>(&'b mut self, variant: &str, open: &[u8], close: &'static [u8]) -> Open<'a, 'b> {
        self.text.push(b'{');
        json(self.text, variant);
        self.text.push(b':');
        self.open(open, close)
    }
}

impl Open<'_, '_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) {
        if !std::mem::take(&mut self.first) {
            self.writer.text.push(b',');
        }
        append(self.writer.text, value);
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        let before = self.writer.text.len();
        append_field(self.writer.text, name, value);
        if self.writer.text.len() > before && std::mem::take(&mut self.first) {
            self.writer.text.remove(before);
        }
    }

    fn finish(self) -> Result<(), NoForm> {
        self.writer.text.extend_from_slice(self.close);
        Ok(())
    }
}

macro_rules! plain {
    ($($method:ident $kind:ty),*) => {
        $(fn $method(self, value: $kind) -> Result<(), NoForm> {
            json(self.text, &value);
            Ok(())
        })*
    };
}

impl<'a, 'b> ser::Serializer for &'b mut Writer<'a> {
    type Ok = ();
    type Error = NoForm;
    type SerializeSeq = Open<'a, 'b>;
    type SerializeTuple = Open<'a, 'b>;
    type SerializeTupleStruct = Open<'a, 'b>;
    type SerializeTupleVariant = Open<'a, 'b>;
    type SerializeMap = Open<'a, 'b>;
    type SerializeStruct = Open<'a, 'b>;
    type SerializeStructVariant = Open<'a, 'b>;

    plain! {
        serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_u8 u8, serialize_u16 u16,
        serialize_u32 u32, serialize_u64 u64, serialize_f32 f32, serialize_f64 f64, serialize_char char, serialize_str &str
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), NoForm> {
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<(), NoForm> {
        self.absent = true;
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), NoForm> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), NoForm> {
        self.text.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), NoForm> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), NoForm> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), NoForm> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), NoForm> {
        let mut open = self.open(b"{", b"}");
        open.field(variant, value);
        open.finish()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'a, 'b>, NoForm> {
        Ok(self.open(b"[", b"]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Open<'a, 'b>, NoForm> {
        Ok(self.open(b"[", b"]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Open<'a, 'b>, NoForm> {
        Ok(self.open(b"[", b"]"))
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Open<'a, 'b>, NoForm> {
        Ok(self.open_variant(variant, b"[", b"]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Open<'a, 'b>, NoForm> {
        Ok(self.open(b"{", b"}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Open<'a, 'b>, NoForm> {
        Ok(self.open(b"{", b"}"))
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Open<'a, 'b>, NoForm> {
        Ok(self.open_variant(variant, b"{", b"}}"))
    }
}

macro_rules! elements {
    ($($kind:ident $method:ident),*) => {
        $(impl ser::$kind for Open<'_, '_> {
            type Ok = ();
            type Error = NoForm;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoForm> {
                self.element(value);
                Ok(())
            }

            fn end(self) -> Result<(), NoForm> {
                self.finish()
            }
        })*
    };
}

elements! { SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field }

macro_rules! fields {
    ($($kind:ident),*) => {
        $(impl ser::$kind for Open<'_, '_> {
            type Ok = ();
            type Error = NoForm;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), NoForm> {
                self.field(name, value);
                Ok(())
            }

            fn end(self) -> Result<(), NoForm> {
                self.finish()
            }
        })*
    };
}

fields! { SerializeStruct, SerializeStructVariant }

impl ser::SerializeMap for Open<'_, '_> {
    type Ok = ();
    type Error = NoForm;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NoForm> {
        let mut text = Vec::new();
        append(&mut text, key);
        // A key of a JSON object is a string, so other keys are put in quotes.
        if !text.starts_with(b"\"") {
            text = [b"\"", &*text, b"\""].concat();
        }
        self.entries.push((text, Vec::new()));
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoForm> {
        if let Some((_, text)) = self.entries.last_mut() {
            append(text, value);
        }
        Ok(())
    }

    fn end(mut self) -> Result<(), NoForm> {
        self.entries.sort();
        for (index, (key, value)) in std::mem::take(&mut self.entries).into_iter().enumerate() {
            if index > 0 {
                self.writer.text.push(b',');
            }
            self.writer.text.extend_from_slice(&key);
            self.writer.text.push(b':');
            self.writer.text.extend_from_slice(&value);
        }
        self.finish()
    }
}
