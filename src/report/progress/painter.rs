//! The thread that draws the line.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use console::Term;
use indicatif::style::TemplateError;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::{Paint, Progress, Work, counted, in_quarantine};

/// How long one picture stands.
const FRAME: Duration = Duration::from_millis(100);
/// How wide a terminal has to be for the bar beside the words.
const WIDE_ENOUGH_FOR_A_BAR: u16 = 70;

/// A line that is being drawn.
#[derive(Debug)]
pub(super) struct Painter {
    going: Sender<()>,
    thread: JoinHandle<()>,
}

impl Painter {
    /// Begins to draw; `None` where the system gives no thread for it, which is no reason not to run.
    pub fn start(
        progress: Progress,
        terminal: impl TermLike + 'static,
        paint: Paint,
    ) -> Option<Self> {
        let (going, ended) = mpsc::channel::<()>();
        let draw = move || {
            let Ok(styles) = Styles::new(paint) else {
                return;
            };
            let width = terminal.width();
            let target = ProgressDrawTarget::term_like(Box::new(terminal));
            let bar = ProgressBar::with_draw_target(None, target);
            let mut drawn = None;
            loop {
                let picture = Picture::of(&progress);
                if drawn.as_ref() != Some(&picture) {
                    picture.put(&bar, &styles, width >= WIDE_ENOUGH_FOR_A_BAR);
                    drawn = Some(picture);
                }
                bar.tick();
                if ended.recv_timeout(FRAME) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            bar.finish_and_clear();
        };
        let thread = thread::Builder::new().name("progress".into()).spawn(draw);
        Some(Self {
            going,
            thread: thread.ok()?,
        })
    }

    /// Wipes the line and waits until it is gone. The wiping is the thread's work: a thread that panics
    /// is not let near the terminal by indicatif.
    pub fn end(self) {
        drop(self.going);
        if self.thread.thread().id() != thread::current().id() {
            // It has nothing to give back, and a panic of its own is told by the hook.
            let _ = self.thread.join();
        }
    }
}

/// What the line says.
#[derive(Debug, PartialEq, Eq)]
struct Picture {
    label: &'static str,
    /// How much of how much, for the bar.
    part: Option<(u64, u64)>,
    words: String,
}

impl Picture {
    fn of(progress: &Progress) -> Self {
        let work = progress.work();
        if let Some(wait) = progress.wait() {
            let words = work.in_words().map(|words| format!("; {words}"));
            return Self {
                label: "",
                part: None,
                words: format!("Waiting {wait}{}", words.unwrap_or_default()),
            };
        }
        let seconds = progress.0.begun.elapsed().as_secs();
        let time = format!("{}:{:02}", seconds / 60, seconds % 60);
        match work {
            Work::Short => Self::words("Working", time),
            Work::Reading {
                pages: 0,
                total: None,
                ..
            } => Self::words("Reading alerts", time),
            Work::Reading {
                pages,
                alerts,
                total,
            } => {
                let of_total = total.map(|total| format!(" of {total}"));
                Self {
                    label: "Reading alerts",
                    part: total.map(|total| (alerts, total)),
                    words: format!(
                        "{alerts}{}, {}, {time}",
                        of_total.unwrap_or_default(),
                        counted(pages, "page", "pages")
                    ),
                }
            }
            Work::Storing { submissions } => {
                Self::words("Storing", format!("{submissions} submissions, {time}"))
            }
            Work::Sending {
                batches,
                sent,
                refused,
                all,
            } => Self {
                label: "Sending",
                part: Some((sent + refused, all)),
                words: format!(
                    "{sent} of {all}, {}{}, {time}",
                    counted(batches, "batch", "batches"),
                    in_quarantine(refused)
                ),
            },
        }
    }

    fn words(label: &'static str, words: String) -> Self {
        Self {
            label,
            part: None,
            words,
        }
    }

    fn put(&self, bar: &ProgressBar, styles: &Styles, wide: bool) {
        match self.part.filter(|_| wide) {
            Some((done, all)) => {
                bar.set_style(styles.with_bar.clone());
                bar.set_length(all);
                bar.set_position(done);
                bar.set_prefix(self.label);
                bar.set_message(self.words.clone());
            }
            None => {
                bar.set_style(styles.words_alone.clone());
                let colon = if self.label.is_empty() { "" } else { ": " };
                bar.set_message(format!("{}{colon}{}", self.label, self.words));
            }
        }
    }
}

/// The two forms of the line. They are ASCII, for every locale.
struct Styles {
    with_bar: ProgressStyle,
    words_alone: ProgressStyle,
}

impl Styles {
    fn new(paint: Paint) -> Result<Self, TemplateError> {
        let (spinner, bar) = (paint.cyan("{spinner}"), paint.cyan("{bar:24}"));
        let style = |template: &str| {
            ProgressStyle::with_template(template)
                .map(|style| style.tick_chars("|/-\\ ").progress_chars("=> "))
        };
        Ok(Self {
            with_bar: style(&format!("{spinner} {{prefix}} [{bar}] {{wide_msg}}"))?,
            words_alone: style(&format!("{spinner} {{wide_msg}}"))?,
        })
    }
}

/// A terminal whose last columns are left free: what a person types then (the `^C` of Ctrl-C) stands in
/// the same line, and is wiped with it.
#[derive(Debug)]
pub(super) struct Margin(Term);

impl Margin {
    const COLUMNS: u16 = 5;

    pub const fn of(terminal: Term) -> Self {
        Self(terminal)
    }
}

impl TermLike for Margin {
    fn width(&self) -> u16 {
        self.0.size().1.saturating_sub(Self::COLUMNS).max(1)
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.0.move_cursor_up(lines)
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.0.move_cursor_down(lines)
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.0.move_cursor_right(columns)
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.0.move_cursor_left(columns)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}
