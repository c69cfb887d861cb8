//! Writes GGUF files for tests.

use std::path::Path;

/// ggml's type number of F32.
pub const F32: u32 = 0;

/// A builder of GGUF files.
#[derive(Default, Clone)]
pub struct GgufBuilder {
    entries: Vec<u8>,
    entry_count: u64,
    tensors: Vec<Tensor>,
}

#[derive(Clone)]
struct Tensor {
    name: String,
    /// Dimensions, fastest first.
    dims: Vec<u64>,
    kind: u32,
    data: Vec<u8>,
    /// Offset of the data, if not right after the previous tensor's.
    offset: Option<u64>,
}

impl GgufBuilder {
    fn entry(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        push_string(&mut self.entries, key);
        self.entries.extend(kind.to_le_bytes());
        self.entries.extend(value);
        self.entry_count += 1;
        self
    }

    pub fn u32(self, key: &str, value: u32) -> Self {
        self.entry(key, 4, &value.to_le_bytes())
    }

    pub fn f32(self, key: &str, value: f32) -> Self {
        self.entry(key, 6, &value.to_le_bytes())
    }

    pub fn bool(self, key: &str, value: bool) -> Self {
        self.entry(key, 7, &[value.into()])
    }

    pub fn string(self, key: &str, value: &str) -> Self {
        let mut bytes = Vec::new();
        push_string(&mut bytes, value);
        self.entry(key, 8, &bytes)
    }

    fn array(self, key: &str, kind: u32, len: usize, elements: &[u8]) -> Self {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend((len as u64).to_le_bytes());
        bytes.extend(elements);
        self.entry(key, 9, &bytes)
    }

    pub fn strings<S: AsRef<str>>(self, key: &str, values: &[S]) -> Self {
        let mut bytes = Vec::new();
        values
            .iter()
            .for_each(|value| push_string(&mut bytes, value.as_ref()));
        self.array(key, 8, values.len(), &bytes)
    }

    pub fn f32s(self, key: &str, values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.array(key, 6, values.len(), &bytes)
    }

    pub fn i32s(self, key: &str, values: &[i32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.array(key, 5, values.len(), &bytes)
    }

    /// Adds a tensor; `shape` is row-major, `kind` is ggml's type number.
    pub fn tensor(mut self, name: &str, shape: &[usize], kind: u32, data: Vec<u8>) -> Self {
        self.tensors.push(Tensor {
            name: name.to_owned(),
            dims: shape.iter().rev().map(|&d| d as u64).collect(),
            kind,
            data,
            offset: None,
        });
        self
    }

    /// Adds a tensor that shares the data of others, from `offset` on.
    pub fn tensor_at(self, name: &str, shape: &[usize], kind: u32, offset: u64) -> Self {
        let mut file = self.tensor(name, shape, kind, Vec::new());
        file.tensors.iter_mut().next_back().unwrap().offset = Some(offset);
        file
    }

    pub fn tensor_f32(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
        let data = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensor(name, shape, F32, data)
    }

    /// The whole file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend(self.entry_count.to_le_bytes());
        out.extend(&self.entries);
        let mut offset = 0;
        for tensor in &self.tensors {
            push_string(&mut out, &tensor.name);
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|d| out.extend(d.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(offset).to_le_bytes());
            offset += tensor.data.len().next_multiple_of(32) as u64;
        }
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            out.extend(&tensor.data);
        }
        out
    }

    pub fn write(&self, path: &Path) {
        std::fs::write(path, self.bytes()).unwrap();
    }
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}
