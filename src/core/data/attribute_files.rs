//! Attributes of pictures in the files of published data sets, brought into the order of a list of pictures.

use super::manifest::Attribute;
use crate::error::{Error, Result, did_you_mean};
use crate::files;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// Attributes of some pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeTable {
    /// Names and values of the columns.
    pub attributes: Vec<Attribute>,
    /// For each picture, in the order asked for, the positions of its values.
    pub rows: Vec<Vec<i64>>,
}

/// What a file says: column names, and by picture (or, of AwA2, by class) the values.
struct Raw {
    names: Vec<String>,
    rows: HashMap<String, Vec<String>>,
    /// Rows are those of classes: a picture's is that of its folder.
    by_class: bool,
}

/// Reads the attributes of `pictures` (paths below a folder, `/` between) from one of
/// - `attributes.csv`: a header; the first column is the picture's path or file name;
/// - CelebA's `list_attr_celeba.txt`: a count, the names, then a file name and -1 or 1 for each;
/// - DeepFashion's `list_attr_img.txt` (names from `list_attr_cloth.txt` beside it; 0 counts as absent) or `list_category_img.txt` (names from
///   `list_category_cloth.txt`): one factor `category`;
/// - AwA2's `predicate-matrix-binary.txt` (`classes.txt` and `predicates.txt` beside it): a picture has the attributes of its class, the folder
///   in which it lies.
///
/// `wanted` chooses columns.
///
/// # Errors
/// `E0301` when a file cannot be read; `E0302` for another layout, a picture without a row (naming the first and how many), a row of another
/// length, or an unknown column, with the nearest name.
pub fn read_attribute_file(path: &Path, pictures: &[String], wanted: Option<&[String]>) -> Result<AttributeTable> {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let raw = match name.as_str() {
        _ if name.ends_with(".csv") => comma_separated(path)?,
        "list_attr_img.txt" => {
            let names = listed(&path.with_file_name("list_attr_cloth.txt"))?;
            by_line(path, names, 2, &|v| if v == "1" { "1".into() } else { "-1".into() })?
        }
        "list_category_img.txt" => categories(path)?,
        "predicate-matrix-binary.txt" => predicates(path)?,
        _ => celeba(path)?,
    };
    arranged(path, raw, pictures, wanted)
}

fn text(path: &Path) -> Result<String> {
    files::read_text(path)
}

fn comma_separated(path: &Path) -> Result<Raw> {
    let bad = |what: String| Error::data(path, what);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(|e| bad(e.to_string()))?;
    let names: Vec<String> = reader.headers().map_err(|e| bad(e.to_string()))?.iter().skip(1).map(String::from).collect();
    let mut rows = HashMap::new();
    for record in reader.records() {
        let record = record.map_err(|e| bad(e.to_string()))?;
        let key = record.get(0).unwrap_or_default().trim_start_matches("./").to_owned();
        if rows.insert(key.clone(), record.iter().skip(1).map(String::from).collect()).is_some() {
            return Err(bad(format!("`{key}` has two rows")));
        }
    }
    Ok(Raw { names, rows, by_class: false })
}

/// CelebA: the names are in the second line.
fn celeba(path: &Path) -> Result<Raw> {
    let body = text(path)?;
    let names: Vec<String> = body.lines().nth(1).unwrap_or_default().split_whitespace().map(String::from).collect();
    if body.lines().next().is_none_or(|l| l.trim().parse::<u64>().is_err()) || names.is_empty() {
        return Err(Error::data(path, "neither attributes.csv nor a list of CelebA, DeepFashion or AwA2")
            .help("known: *.csv, list_attr_celeba.txt, list_attr_img.txt, list_category_img.txt, predicate-matrix-binary.txt"));
    }
    by_line(path, names, 2, &|v| v.to_owned())
}

/// Lines of a picture and a value for each name, after `skip` lines of which the first says how many follow.
fn by_line(path: &Path, names: Vec<String>, skip: usize, value: &dyn Fn(&str) -> String) -> Result<Raw> {
    let body = text(path)?;
    let count = body
        .lines()
        .next()
        .and_then(|l| l.trim().parse::<usize>().ok())
        .ok_or_else(|| Error::data(path, "the first line must say how many rows follow"))?;
    let mut rows = HashMap::new();
    for (i, line) in body.lines().enumerate().skip(skip).filter(|(_, l)| !l.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let key = words.next().unwrap_or_default().to_owned();
        let values: Vec<String> = words.map(value).collect();
        if values.len() != names.len() {
            return Err(Error::data(path, format!("line {}: `{key}` has {} values, there are {} attributes", i + 1, values.len(), names.len())));
        }
        if rows.insert(key.clone(), values).is_some() {
            return Err(Error::data(path, format!("`{key}` has two rows")));
        }
    }
    if rows.len() != count {
        return Err(Error::data(path, format!("says {count} rows and holds {}: it was cut off", rows.len())));
    }
    Ok(Raw { names, rows, by_class: false })
}

/// Names of DeepFashion, which may hold spaces: all but the last word of each line after the second.
fn listed(path: &Path) -> Result<Vec<String>> {
    let body = text(path)?;
    let name = |l: &str| l.trim_end().rsplit_once(char::is_whitespace).map(|(n, _)| n.trim().to_owned());
    let names: Vec<String> = body.lines().skip(2).filter(|l| !l.trim().is_empty()).filter_map(name).collect();
    if names.is_empty() { Err(Error::data(path, "holds no names")) } else { Ok(names) }
}

fn categories(path: &Path) -> Result<Raw> {
    let names = listed(&path.with_file_name("list_category_cloth.txt"))?;
    let raw = by_line(path, vec!["category".into()], 2, &|v| v.to_owned())?;
    let named = |(key, values): (String, Vec<String>)| {
        // Categories count from 1.
        let at = values[0].parse::<usize>().ok().and_then(|n| names.get(n.wrapping_sub(1)));
        at.map(|n| (key.clone(), vec![n.clone()])).ok_or_else(|| Error::data(path, format!("`{key}` has the unknown category {}", values[0])))
    };
    Ok(Raw { rows: raw.rows.into_iter().map(named).collect::<Result<_>>()?, names: raw.names, by_class: false })
}

fn predicates(path: &Path) -> Result<Raw> {
    let numbered = |file: &str| -> Result<Vec<String>> {
        let path = path.with_file_name(file);
        let body = text(&path)?;
        let word = |l: &str| l.split_whitespace().last().map(str::to_owned);
        Ok(body.lines().filter_map(word).collect())
    };
    let (classes, names) = (numbered("classes.txt")?, numbered("predicates.txt")?);
    let body = text(path)?;
    let lines: Vec<&str> = body.lines().filter(|l| !l.trim().is_empty()).collect();
    if lines.len() != classes.len() {
        return Err(Error::data(path, format!("has {} rows, classes.txt {}", lines.len(), classes.len())));
    }
    let mut rows = HashMap::new();
    for (class, line) in classes.into_iter().zip(lines) {
        let values: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if values.len() != names.len() {
            return Err(Error::data(path, format!("the row of `{class}` has {} values, predicates.txt {}", values.len(), names.len())));
        }
        rows.insert(class, values);
    }
    Ok(Raw { names, rows, by_class: true })
}

fn arranged(path: &Path, raw: Raw, pictures: &[String], wanted: Option<&[String]>) -> Result<AttributeTable> {
    let find = |n: &String| {
        let near = did_you_mean(n, raw.names.iter().map(String::as_str));
        raw.names.iter().position(|h| h == n).ok_or_else(|| Error::data(path, format!("there is no attribute `{n}`{near}")))
    };
    let columns: Vec<usize> = wanted.map_or_else(|| Ok((0..raw.names.len()).collect()), |w| w.iter().map(find).collect())?;
    let row = |picture: &String| {
        let mut parts = picture.rsplit('/');
        let base = parts.next().unwrap_or(picture);
        if raw.by_class { parts.next().and_then(|c| raw.rows.get(c)) } else { raw.rows.get(picture).or_else(|| raw.rows.get(base)) }
    };
    let missing: Vec<&String> = pictures.iter().filter(|p| row(p).is_none()).collect();
    if let Some(first) = missing.first() {
        let more = if missing.len() > 1 { format!(" and {} more pictures", missing.len() - 1) } else { String::new() };
        return Err(Error::data(path, format!("it has no row for `{first}`{more}")));
    }
    // The values of all rows, so that a part of the pictures has the same ones.
    let values = |c: usize| raw.rows.values().map(|r| r.get(c).map_or("", String::as_str)).collect::<BTreeSet<&str>>();
    let attributes: Vec<Attribute> =
        columns.iter().map(|c| Attribute { name: raw.names[*c].clone(), values: values(*c).into_iter().map(String::from).collect() }).collect();
    let position = |c: usize, a: &Attribute, r: &[String]| a.values.iter().position(|v| Some(v) == r.get(c)).unwrap_or(0) as i64;
    let one = |p: &String| columns.iter().zip(&attributes).map(|(c, a)| position(*c, a, row(p).map_or(&[][..], |r| r))).collect();
    Ok(AttributeTable { rows: pictures.iter().map(one).collect(), attributes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    fn read(files: &[(&str, &str)], pictures: &[&str], wanted: Option<&[String]>) -> Result<AttributeTable> {
        let dir = tempfile::tempdir().unwrap();
        for (name, body) in files {
            std::fs::write(dir.path().join(name), body).unwrap();
        }
        read_attribute_file(&dir.path().join(files[0].0), &names(pictures), wanted)
    }

    const CELEBA: &str = "2\nBald Smiling \n000001.jpg -1  1\n000002.jpg  1 -1\n";

    #[test]
    fn celeba_and_csv() {
        let t = read(&[("list_attr_celeba.txt", CELEBA)], &["x/000002.jpg", "000001.jpg"], None).unwrap();
        assert_eq!(t.attributes[1], Attribute { name: "Smiling".into(), values: names(&["-1", "1"]) });
        assert_eq!(t.rows, [[1, 0], [0, 1]]);
        let t = read(&[("attributes.csv", "file,hair,hat\na/1.png,red,no\na/2.png,blue,yes\n")], &["a/1.png"], Some(&names(&["hair"]))).unwrap();
        assert_eq!((t.attributes[0].values.clone(), t.rows), (names(&["blue", "red"]), vec![vec![1]]));
    }

    #[test]
    fn deep_fashion() {
        let cloth = ("list_attr_cloth.txt", "2\nattribute_name  attribute_type\na-line dress   3\nfloral   1\n");
        let img = ("list_attr_img.txt", "2\nimage_name  attribute_labels\nimg/a/1.jpg  1 -1\nimg/a/2.jpg  0 1\n");
        let t = read(&[img, cloth], &["img/a/2.jpg"], None).unwrap();
        assert_eq!((t.attributes[0].name.as_str(), t.rows), ("a-line dress", vec![vec![0, 1]]));
        let kinds = ("list_category_cloth.txt", "2\ncategory_name  category_type\nAnorak  1\nBlazer  1\n");
        let img = ("list_category_img.txt", "1\nimage_name  category_label\nimg/a/1.jpg  2\n");
        let t = read(&[img, kinds], &["img/a/1.jpg"], None).unwrap();
        assert_eq!((t.attributes[0].values.clone(), t.rows), (names(&["Blazer"]), vec![vec![0]]));
        let img = ("list_category_img.txt", "1\nimage_name  category_label\nimg/a/1.jpg  3\n");
        assert!(read(&[img, kinds], &["img/a/1.jpg"], None).unwrap_err().to_string().contains("category 3"));
    }

    #[test]
    fn awa() {
        let files = [
            ("predicate-matrix-binary.txt", "1 0\n0 1\n"),
            ("classes.txt", "     1\tantelope\n     2\tfox\n"),
            ("predicates.txt", "1\tblack\n2\tfurry\n"),
        ];
        let t = read(&files, &["fox/fox_1.jpg", "antelope/a.jpg"], None).unwrap();
        assert_eq!((t.attributes[1].name.as_str(), t.rows), ("furry", vec![vec![0, 1], vec![1, 0]]));
        assert!(read(&files, &["wolf/w.jpg"], None).unwrap_err().to_string().contains("wolf/w.jpg"));
    }

    #[test]
    fn bad_files_are_refused_by_name() {
        let e = |files: &[(&str, &str)], pictures: &[&str], wanted: Option<&[String]>| read(files, pictures, wanted).unwrap_err().to_string();
        let celeba = [("list_attr_celeba.txt", CELEBA)];
        let missing = e(&celeba, &["000003.jpg", "000004.jpg"], None);
        assert!(missing.contains("`000003.jpg` and 1 more"), "{missing}");
        assert!(e(&celeba, &["000001.jpg"], Some(&names(&["Smilng"]))).contains("`Smiling`"));
        assert!(e(&[("list_attr_celeba.txt", "3\nBald Smiling\n000001.jpg -1 1\n")], &["000001.jpg"], None).contains("cut off"));
        assert!(e(&[("list_attr_celeba.txt", "1\nBald Smiling\n000001.jpg -1\n")], &["000001.jpg"], None).contains("line 3"));
        assert!(e(&[("other.txt", "hello\n")], &["a"], None).contains("neither"));
    }
}
