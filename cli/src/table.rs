//! Aligned columns for people, cut where a terminal would break them.

use crate::display;
use crate::out::{Done, Look, Out};

/// Cells between two columns.
const GAP: usize = 2;
/// A column is not cut below this: less of a name says nothing.
const NARROW: usize = 8;

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
        let mut widths: Vec<usize> =
            (0..columns).map(|i| self.rows.iter().map(|row| cell_width(row, i)).max().unwrap_or(0)).collect();
        if let Some(most) = out.width() {
            fit(&mut widths, most);
        }
        for row in &self.rows {
            let mut line = String::new();
            for (i, (look, text)) in row.iter().enumerate() {
                let width = widths.get(i).copied().unwrap_or(0);
                let text = display::cut(text, width);
                line.push_str(&out.paint(*look, &text));
                if i + 1 < row.len() {
                    let gap = width.saturating_sub(display::width(&text)) + GAP;
                    line.extend(std::iter::repeat_n(' ', gap));
                }
            }
            out.line(line.trim_end())?;
        }
        Ok(())
    }
}

/// Takes from the widest columns what a line has too much.
fn fit(widths: &mut [usize], most: usize) {
    let gaps = widths.len().saturating_sub(1) * GAP;
    while widths.iter().sum::<usize>() + gaps > most {
        match widths.iter_mut().max() {
            Some(widest) if *widest > NARROW => *widest -= 1,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_columns_give_way_and_none_vanishes() {
        let fitted = |widths: &[usize], most| {
            let mut widths = widths.to_vec();
            fit(&mut widths, most);
            widths
        };
        assert_eq!(fitted(&[4, 90, 10], 80), [4, 62, 10]);
        assert_eq!(fitted(&[4, 30, 10], 80), [4, 30, 10]);
        assert_eq!(fitted(&[40, 40], 42), [20, 20]);
        assert_eq!(fitted(&[40, 40, 3], 5), [NARROW, NARROW, 3]);
    }
}
