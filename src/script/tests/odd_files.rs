//! Files that stand for more than they are (`tests/data/pt/make_hostile.py`), and what would be written so that nobody could read it.

use super::{Scripts, engine};
use std::path::Path;

fn fixture(name: &str) -> String {
    format!("{:?}", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pt").join(name))
}

fn refused(code: &str, wanted: &str) {
    let e = engine().eval(code).map(|v| v.to_string()).expect_err(code);
    assert!(e.to_string().contains(wanted) && !e.to_string().contains("internal error"), "{code}: {e}");
}

#[test]
fn what_a_few_bytes_claim_takes_no_memory_and_makes_no_numbers() {
    for (name, wanted) in [
        ("legacy_count.pt", "the file ends within storage `a`: it was cut off"),
        ("shared_bytes.npz", "its entries lie over each other"),
        ("overlapping", "two of its pieces lie over each other"),
        ("claimed", "`__0_0.distcp` is missing, which holds a piece of `w`"),
        ("clashing_keys.pt", "it has two keys that are `1`"),
    ] {
        refused(&format!("io::load({})", fixture(name)), wanted);
    }
}

#[test]
fn keys_of_a_dict_read_as_python_prints_them() {
    let code = format!("let all = io::load({}); `${{all.keys()}} ${{all[\"(0, (3, x))\"]}}`", fixture("keys.pt"));
    assert_eq!(engine().eval(&code).unwrap().to_string(), r#"["(0, (3, x))", "(0, 1)", "(0, 2)", "7", "None", "True"] 3"#);
}

#[test]
fn a_text_that_is_met_again_and_again_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    // [text] * 3000, the text of 100,000 letters once: each is a copy of its own for a script.
    let letters = 100_000u32;
    let mut pickle = b"\x80\x02]q\x00(X".to_vec();
    pickle.extend(letters.to_le_bytes());
    pickle.extend(std::iter::repeat_n(b'a', letters as usize));
    pickle.extend(b"q\x01");
    pickle.extend(b"h\x01".repeat(3000));
    pickle.extend(b"e.");
    let path = folder.path().join("texts.pt");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    for (name, data) in [("archive/data.pkl", pickle.as_slice()), ("archive/version", b"3\n")] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, data).unwrap();
    }
    zip.finish().unwrap();
    refused(&format!("io::load({path:?})"), "it holds too many objects");
}

#[test]
fn an_archive_that_could_not_be_read_is_not_written() {
    refused("io::npz_writer(io::temp_dir() + \"/x.npz\").begin(\"x\", [-1], \"i64\")", "`x` has the sizes [-1]: -1 is none");
    let code = "let path = io::temp_dir() + \"/x.npz\"; let w = io::npz_writer(path);\n\
                try { w.begin(\"x\", [2], \"bf16\"); throw \"taken\"; } catch (e) { if e == \"taken\" { throw e; } }\n\
                w.add(\"y\", torch::ones([2])); w.finish(); `${io::npz(path).keys()}`";
    assert_eq!(engine().eval(code).unwrap().to_string(), r#"["y"]"#);
}

#[test]
fn a_label_beyond_the_classes_is_refused_where_it_is_written_and_where_it_is_read() {
    let scripts = Scripts::new(&[]);
    let folder = scripts.path("latents");
    let writer = |labels: &str| {
        format!(
            "let w = data::latent_writer({folder:?}, #{{ channels: 4, size: [2, 2], vae: \"none\", classes: [\"a\", \"b\"] }});\n\
             w.push(#{{ mean: torch::zeros([2, 4, 2, 2]), std: torch::ones([2, 4, 2, 2]), labels: torch::tensor({labels}) }}); w.finish();"
        )
    };
    for (labels, label) in [("[0, 2]", 2), ("[-1, 0]", -1)] {
        refused(&writer(labels), &format!("a label is {label}, but there are 2 classes: labels go from 0 to 1"));
    }
    drop(engine().eval(&writer("[0, 1]")).unwrap());
    let manifest = folder.join("latents.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let fewer: String = text.split_whitespace().collect::<String>().replace(r#"["a","b"]"#, r#"["a"]"#);
    assert_ne!(fewer, text.split_whitespace().collect::<String>());
    std::fs::write(&manifest, fewer).unwrap();
    refused(&format!("data::latents({folder:?}).loader(#{{ batch: 2 }}).next()"), "a label is 1, but there are 1 classes");
}
