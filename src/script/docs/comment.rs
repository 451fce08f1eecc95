//! A doc comment, taken apart: a summary, a description, and sections such as `# Shapes`.

/// A doc comment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comment {
    /// The first paragraph, on one line.
    pub summary: String,
    /// What follows it, up to the first section: Markdown.
    pub body: String,
    /// `Shapes`, `Errors`, `Example` and the like, each with its Markdown.
    pub sections: Vec<(String, String)>,
}

impl Comment {
    /// Takes a comment apart. Each line may begin with the blank that follows `///`.
    pub fn parse(text: &str) -> Comment {
        let mut comment = Comment::default();
        let mut part: Vec<&str> = Vec::new();
        let mut title: Option<String> = None;
        let mut fenced = false;
        for line in text.lines() {
            let line = line.strip_prefix(' ').unwrap_or(line).trim_end();
            fenced ^= line.starts_with("```");
            match line.strip_prefix("# ").filter(|_| !fenced) {
                Some(next) => {
                    comment.add(title.take(), &part);
                    part.clear();
                    title = Some(next.trim().to_owned());
                }
                None => part.push(line),
            }
        }
        comment.add(title, &part);
        comment
    }

    fn add(&mut self, title: Option<String>, lines: &[&str]) {
        let text = lines.join("\n").trim_matches('\n').to_owned();
        match title {
            Some(title) => self.sections.push((title, text)),
            None => {
                let (first, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
                self.summary = first.replace('\n', " ").trim().to_owned();
                self.body = rest.trim_matches('\n').to_owned();
            }
        }
    }

    /// The text of a section.
    pub fn section(&self, title: &str) -> Option<&str> {
        self.sections.iter().find(|(t, _)| t == title).map(|(_, text)| text.as_str())
    }

    /// The text of each ```` ```rhai ```` block.
    pub fn examples(&self) -> Vec<String> {
        let texts = std::iter::once(self.body.as_str()).chain(self.sections.iter().map(|(_, text)| text.as_str()));
        texts.flat_map(blocks).collect()
    }

    /// The comment as Markdown. Sections become bold words, since headings belong to the page.
    pub fn markdown(&self) -> String {
        let mut parts = vec![self.summary.clone(), self.body.clone()];
        parts.extend(self.sections.iter().map(|(title, text)| format!("**{title}**\n\n{text}")));
        parts.retain(|p| !p.trim().is_empty());
        parts.join("\n\n")
    }
}

/// The text of each ```` ```rhai ```` block of a Markdown text.
pub fn blocks(markdown: &str) -> Vec<String> {
    let mut list = Vec::new();
    let mut open: Option<Vec<&str>> = None;
    for line in markdown.lines() {
        match (&mut open, line.trim()) {
            (None, "```rhai") => open = Some(Vec::new()),
            (Some(_), "```") => list.extend(open.take().map(|lines| lines.join("\n"))),
            (Some(lines), _) => lines.push(line),
            (None, _) => {}
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_has_a_summary_a_body_and_sections() {
        let text = " Joins\n tensors.\n\n Further on.\n\n # Shapes\n - any\n # Example\n ```rhai\n # not a heading\n let x = 1;\n   x\n ```\n";
        let c = Comment::parse(text);
        assert_eq!((c.summary.as_str(), c.body.as_str()), ("Joins tensors.", "Further on."));
        assert_eq!(c.section("Shapes"), Some("- any"));
        assert_eq!(c.examples(), ["# not a heading\nlet x = 1;\n  x"]);
        assert_eq!(c.section("Errors"), None);
        assert!(c.markdown().starts_with("Joins tensors.\n\nFurther on.\n\n**Shapes**\n\n- any\n\n**Example**\n\n```rhai"));
        assert_eq!(Comment::parse(""), Comment::default());
    }
}
