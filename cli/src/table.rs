//! Aligned columns for people.

use crate::display;
use crate::out::{Done, Look, Out};

/// Rows of text in columns two spaces apart, each as wide as its widest text.
pub struct Table {
    rows: Vec<Vec<(Look, String)>>,
}

impl Table {
    /// With these headings.
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|h| (Look::Faint, (*h).to_owned())).collect()] }
    }

    /// Adds a row. Its texts are made neutral here.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|c| (Look::Plain, display::neutral_line(&c))).collect());
    }

    /// Writes it, or `nothing` as a remark if it has no rows.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn write(self, out: &mut Out, nothing: &str) -> Done {
        if self.rows.len() == 1 {
            out.note(nothing);
            return Ok(());
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell_width = |row: &Vec<(Look, String)>, i: usize| row.get(i).map_or(0, |(_, text)| display::width(text));
        let widths: Vec<usize> =
            (0..columns).map(|i| self.rows.iter().map(|row| cell_width(row, i)).max().unwrap_or(0)).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (i, (look, text)) in row.iter().enumerate() {
                line.push_str(&out.paint(*look, text));
                if i + 1 < row.len() {
                    let gap = widths.get(i).map_or(0, |w| w.saturating_sub(display::width(text))) + 2;
                    line.extend(std::iter::repeat_n(' ', gap));
                }
            }
            out.line(line.trim_end())?;
        }
        Ok(())
    }
}
