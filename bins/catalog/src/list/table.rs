//! Text in columns.

/// Heads, and rows with as many fields.
pub struct Table {
    pub head: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// The width of each column in characters.
    fn widths(&self) -> Vec<usize> {
        let longest = |column: usize| {
            let fields = self.rows.iter().filter_map(|row| row.get(column)).map(|field| field.chars().count());
            fields.chain([self.head[column].chars().count()]).max().unwrap_or(0)
        };
        (0..self.head.len()).map(longest).collect()
    }

    fn heads(&self) -> Vec<String> {
        self.head.iter().map(|head| (*head).to_owned()).collect()
    }
}

/// Columns with one blank between them, the last one as long as it is.
pub fn columns(table: &Table) -> String {
    let widths = table.widths();
    let mut text = String::new();
    for row in [&table.heads()].into_iter().chain(&table.rows) {
        for (column, field) in row.iter().enumerate() {
            let last = column + 1 == row.len();
            let line = if last { format!("{field}\n") } else { format!("{field:<width$} ", width = widths[column]) };
            text.push_str(&line);
        }
    }
    text
}

/// A grid of `+---+` with a first column that counts the rows from 0.
pub fn grid(table: &Table) -> String {
    let widths = table.widths();
    let count = table.rows.len().saturating_sub(1).to_string().len();
    let rule = |mut text: String| {
        for width in [count].iter().chain(&widths) {
            text.push('+');
            text.push_str(&"-".repeat(width + 2));
        }
        text + "+\n"
    };
    let line = |mut text: String, number: &str, row: &[String]| {
        text.push_str(&format!("| {number:>count$} |"));
        for (field, width) in row.iter().zip(&widths) {
            text.push_str(&format!(" {field:<width$} |"));
        }
        text + "\n"
    };
    let mut text = rule(line(rule(String::new()), "#", &table.heads()));
    for (number, row) in table.rows.iter().enumerate() {
        text = line(text, &number.to_string(), row);
    }
    rule(text)
}
