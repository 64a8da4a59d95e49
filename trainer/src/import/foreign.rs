//! Names files that are not safetensors by their first bytes, with the way to convert them.

/// Bytes at the end of a zip file in which its table of contents is looked for.
const ZIP_DIRECTORY_BYTES: usize = 64 << 10;

/// What a file is and how it becomes a safetensors file, as the end of a sentence; `None` for a
/// file that is not recognized.
pub(super) fn describe(bytes: &[u8]) -> Option<String> {
    if bytes.starts_with(b"PK\x03\x04") {
        return Some(zip(bytes));
    }
    let starts: [(&[u8], &str); 13] = [
        (b"\x89HDF\r\n\x1a\n", HDF5),
        (b"\x93NUMPY", NUMPY),
        (b"\x1f\x8b", "is gzip: unpack it with gunzip"),
        (b"GGUF", "is GGUF: import the weights that it was made from"),
        (b"version https://git-lfs", GIT_LFS),
        (b"<!DOCTYPE", HTML),
        (b"<!doctype", HTML),
        (b"<html", HTML),
        (b"{", JSON),
        (b"\x80\x02", PICKLE),
        (b"\x80\x03", PICKLE),
        (b"\x80\x04", PICKLE),
        (b"\x80\x05", PICKLE),
    ];
    if let Some((_, what)) = starts.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Some(torch_lines(what));
    }
    if bytes.get(4..8) == Some(b"TFL3") {
        return Some("is TensorFlow Lite: save the weights of its Keras model instead".to_owned());
    }
    // ModelProto: `ir_version`, then the producer, the graph or the operator sets.
    matches!(bytes, [0x08, 1..=20, 0x12 | 0x1a | 0x2a | 0x3a | 0x42, ..]).then(|| ONNX.to_owned())
}

const HDF5: &str = "is HDF5 (.h5, Keras): save each Dense layer's kernel, transposed to [out, in], and its bias as \
                    NAME.weight and NAME.bias with safetensors.numpy.save_file";
const KERAS: &str = "is a Keras model (.keras): save each Dense layer's kernel, transposed to [out, in], and its bias as \
                     NAME.weight and NAME.bias with safetensors.numpy.save_file";
const NUMPY: &str = "is a NumPy array (.npy): save weights [out, in] and biases as NAME.weight and NAME.bias with \
                     safetensors.numpy.save_file";
const NPZ: &str = "is a NumPy archive (.npz); these two lines of Python convert one whose arrays are named NAME.weight, \
                   [out, in], and NAME.bias:\n\
                   import numpy, safetensors.numpy\n\
                   safetensors.numpy.save_file(dict(numpy.load(\"FILE.npz\")), \"FILE.safetensors\")";
const ONNX: &str = "is ONNX: import the state dict that it was exported from, or save its initializers, weights as \
                    [out, in], as NAME.weight and NAME.bias with safetensors.numpy.save_file";
const GIT_LFS: &str = "is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`";
const HTML: &str = "is a web page, not the file itself: download the file again";
const JSON: &str = "is JSON: an index or a configuration, without weights";
const PICKLE: &str = "is a pickle, as torch.save writes it (.pth, .pt)";
const TORCH_ZIP: &str = "is a PyTorch file (.pth, .pt), a zip of pickles";

/// Adds the lines that convert a file of torch.save.
fn torch_lines(what: &str) -> String {
    if what != PICKLE && what != TORCH_ZIP {
        return what.to_owned();
    }
    format!(
        "{what}; these two lines of Python convert it:\n\
         import torch, safetensors.torch\n\
         safetensors.torch.save_file(torch.load(\"FILE.pth\", map_location=\"cpu\"), \"FILE.safetensors\")\n\
         where FILE.pth holds a whole module, write torch.load(…, weights_only=False).state_dict()"
    )
}

fn zip(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(ZIP_DIRECTORY_BYTES);
    let head = &bytes[..bytes.len().min(ZIP_DIRECTORY_BYTES)];
    let has = |name: &str| {
        [head, &bytes[start..]]
            .iter()
            .any(|part| part.windows(name.len()).any(|it| it == name.as_bytes()))
    };
    if has("constants.pkl") {
        return "is TorchScript (.pt); these two lines of Python convert it:\n\
                import torch, safetensors.torch\n\
                safetensors.torch.save_file(torch.jit.load(\"FILE.pt\").state_dict(), \"FILE.safetensors\")"
            .to_owned();
    }
    if has("data.pkl") {
        return torch_lines(TORCH_ZIP);
    }
    if has(".weights.h5") {
        return KERAS.to_owned();
    }
    if has(".npy") {
        return NPZ.to_owned();
    }
    "is a zip file: unpack it, and import the safetensors file in it".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_formats_are_named_with_the_way_to_convert_them() {
        let zip = |name: &str| [b"PK\x03\x04", &[0; 26][..], name.as_bytes()].concat();
        let torch = "torch.load(\"FILE.pth\", map_location=\"cpu\")";
        for (bytes, part) in [
            (zip("net/data.pkl"), torch),
            (zip("net/constants.pkl net/data.pkl"), "torch.jit.load"),
            (zip("model.weights.h5"), "Keras"),
            (zip("fc1.weight.npy"), "numpy.load"),
            (zip("readme.txt"), "unpack it"),
            (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(), torch),
            (b"\x80\x04\x95\x10\0".to_vec(), torch),
            (b"\x89HDF\r\n\x1a\n\0".to_vec(), "[out, in]"),
            (b"\x08\x08\x12\x07pytorch".to_vec(), "ONNX"),
            (b"\x08\x09:\x10".to_vec(), "ONNX"),
            (
                b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
                "git lfs pull",
            ),
            (b"<!DOCTYPE html>".to_vec(), "web page"),
            (b"\x1f\x8b\x08".to_vec(), "gunzip"),
        ] {
            let found = describe(&bytes).expect(part);
            assert!(found.contains(part), "{part}: {found}");
        }
        assert_eq!(describe(&[0; 100]), None);
        assert_eq!(describe(b""), None);
    }
}
