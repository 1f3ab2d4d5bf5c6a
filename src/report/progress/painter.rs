//! The thread that draws the line.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use console::Term;
use indicatif::style::TemplateError;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};

use super::{Progress, Styler, Work, counted, in_quarantine};

/// How long one picture stands.
const FRAME: Duration = Duration::from_millis(100);
/// How wide the bar is, and how wide a terminal has to be for it.
const BAR: u16 = 20;
const WIDE_ENOUGH_FOR_A_BAR: u16 = 70;
/// The spinner and the blank behind it.
const SPINNER: u16 = 2;

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
        terminal: impl TermLike + Clone + 'static,
        paint: Styler,
    ) -> Option<Self> {
        let (going, ended) = mpsc::channel::<()>();
        let draw = move || {
            let line = Line::default();
            let Ok(style) = line.style(paint) else {
                return;
            };
            let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
            let bar = ProgressBar::with_draw_target(None, target).with_style(style);
            loop {
                line.set(Frame::of(&progress).line(terminal.width(), paint));
                bar.tick();
                if ended.recv_timeout(FRAME) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            bar.finish_and_clear();
        };
        let thread = thread::Builder::new().name("progress".into()).spawn(draw);
        Some(Self { going, thread: thread.ok()? })
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
struct Frame {
    label: &'static str,
    /// How much of how much, for the bar.
    part: Option<(u64, u64)>,
    words: String,
}

impl Frame {
    fn of(progress: &Progress) -> Self {
        let work = progress.work();
        if let Some(wait) = progress.wait() {
            let words = work.describe().map(|words| format!("; {words}"));
            return Self::text(format!("Waiting {wait}{}", words.unwrap_or_default()));
        }
        let seconds = progress.0.begun.elapsed().as_secs();
        let time = format!("{}:{:02}", seconds / 60, seconds % 60);
        match work {
            Work::Idle => Self::text(format!("Working, {time}")),
            Work::Reading { pages: 0, total: None, .. } => {
                Self::text(format!("Reading alerts, {time}"))
            }
            Work::Reading { pages, alerts, total } => {
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
                Self::text(format!("Storing {submissions} submissions, {time}"))
            }
            Work::Sending { batches, sent, refused, all } => Self {
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

    fn text(words: String) -> Self {
        Self { label: "", part: None, words }
    }

    /// The line, no wider than it may be. It is ASCII, for every locale.
    fn line(&self, width: u16, paint: Styler) -> String {
        if let Some((done, all)) = self.part
            && width >= WIDE_ENOUGH_FOR_A_BAR
        {
            let head = format!("{} [", self.label);
            let left = usize::from(width - SPINNER - BAR).saturating_sub(head.len() + 2);
            let words: String = self.words.chars().take(left).collect();
            return format!("{head}{}] {words}", paint.cyan(&bar(done, all)));
        }
        let colon = if self.label.is_empty() { "" } else { ": " };
        let line = format!("{}{colon}{}", self.label, self.words);
        let left = usize::from(width.saturating_sub(SPINNER));
        line.chars().take(left).collect()
    }
}

/// `=====>        `
fn bar(done: u64, all: u64) -> String {
    let columns = u128::from(BAR);
    let full = u128::from(done) * columns / u128::from(all.max(1));
    (0..columns).fold(String::new(), |mut bar, column| {
        bar.push(match column {
            _ if column < full => '=',
            _ if column == full && done > 0 => '>',
            _ => ' ',
        });
        bar
    })
}

/// What is behind the spinner. It is put in as a whole, so that no picture is drawn half new, half old.
#[derive(Debug, Clone, Default)]
struct Line(Arc<Mutex<String>>);

impl Line {
    fn set(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    fn style(&self, paint: Styler) -> Result<ProgressStyle, TemplateError> {
        let line = Arc::clone(&self.0);
        let write = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            // Writing to a String cannot fail.
            let _ = out.write_str(&line.lock().unwrap_or_else(PoisonError::into_inner));
        };
        let template = format!("{} {{line}}", paint.cyan("{spinner}"));
        let style = ProgressStyle::with_template(&template)?;
        Ok(style.tick_chars("|/-\\ ").with_key("line", write))
    }
}

/// A terminal whose last columns are left free: what a person types then (the `^C` of Ctrl-C) stands in
/// the same line, and is wiped with it.
#[derive(Debug, Clone)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::PendingWaits;
    use std::time::Instant;

    /// A terminal of one line that remembers what stands in it, and all that ever stood in it.
    #[derive(Debug, Clone, Default)]
    struct Recorder {
        line: Arc<Mutex<String>>,
        all: Arc<Mutex<Vec<String>>>,
    }

    impl Recorder {
        fn line(&self) -> String {
            self.line.lock().unwrap().trim_end().to_owned()
        }

        fn drawn(&self) -> usize {
            self.all.lock().unwrap().len()
        }

        fn until(&self, what: &str) {
            let begun = Instant::now();
            let shown = |line: &String| line.contains(what);
            while !self.all.lock().unwrap().iter().any(shown) {
                assert!(begun.elapsed() < Duration::from_secs(30), "{}", self.line());
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    impl TermLike for Recorder {
        fn width(&self) -> u16 {
            75
        }

        fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
            assert_eq!(lines, 0);
            Ok(())
        }

        fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
            assert_eq!(lines, 0);
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            unreachable!()
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            unreachable!()
        }

        fn write_line(&self, _: &str) -> io::Result<()> {
            unreachable!()
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.line.lock().unwrap().push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.line.lock().unwrap().clear();
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            self.all.lock().unwrap().push(self.line());
            Ok(())
        }
    }

    const HALF: Work = Work::Reading { pages: 100, alerts: 100_000, total: Some(200_000) };

    fn drawing() -> (Progress, Recorder) {
        let (progress, terminal) = (Progress::default(), Recorder::default());
        let plain = Styler::new(clap::ColorChoice::Never, &io::stderr());
        *progress.painter() = Painter::start(progress.clone(), terminal.clone(), plain);
        (progress, terminal)
    }

    #[test]
    fn what_the_run_left_is_drawn_and_wiped() {
        let (progress, terminal) = drawing();
        terminal.until("| Working, 0:0");
        progress.set(HALF);
        terminal.until("Reading alerts [==========>         ] 100000 of 200000, 100 pages, 0:0");
        progress.clear();
        assert_eq!(terminal.line(), "");
        let drawn = terminal.drawn();
        progress.set(Work::Idle);
        progress.clear();
        thread::sleep(FRAME * 2);
        assert_eq!(terminal.drawn(), drawn, "nothing is drawn any more");
    }

    #[test]
    fn a_panicking_thread_leaves_a_clean_line() {
        struct Hook(Progress);
        impl Drop for Hook {
            fn drop(&mut self) {
                assert!(thread::panicking());
                self.0.clear();
            }
        }
        let (progress, terminal) = drawing();
        terminal.until("Working");
        let panicked = thread::spawn(move || {
            let _hook = Hook(progress);
            panic!("made");
        });
        assert!(panicked.join().is_err());
        assert_eq!(terminal.line(), "");
    }

    #[test]
    fn a_wait_takes_the_place_of_the_bar() {
        let (progress, terminal) = drawing();
        let waits = PendingWaits::default();
        progress.follow(waits.clone());
        progress.set(HALF);
        let until = tokio::time::Instant::now() + Duration::from_secs(250);
        let waiting = waits.start("api.us-2.crowdstrike.com", until);
        terminal.until("s for api.us-2.crowdstrike.com; read 100000 of 200000 alerts");
        drop(waiting);
        terminal.until("Reading alerts [");
        progress.clear();
        let all = terminal.all.lock().unwrap().clone();
        assert!(all.iter().any(|line| line.contains(" Waiting 2")));
    }

    #[test]
    fn every_picture_fits() {
        let plain = Styler::new(clap::ColorChoice::Never, &io::stderr());
        let styled = Styler::new(clap::ColorChoice::Always, &io::stderr());
        let progress = Progress::default();
        let huge = Some(u64::MAX);
        for total in [None, Some(0), Some(1), huge] {
            progress.set(Work::Reading { pages: u64::MAX, alerts: u64::MAX, total });
            let picture = Frame::of(&progress);
            for width in 1..200 {
                let line = picture.line(width, plain);
                let fits = usize::from(width.saturating_sub(SPINNER));
                assert!(line.len() <= fits, "{width}: {line:?}");
                let coloured = picture.line(width, styled);
                assert_eq!(console::strip_ansi_codes(&coloured), line);
            }
        }
    }

    #[test]
    fn a_bar_is_always_as_wide() {
        assert_eq!(bar(0, 0), " ".repeat(20));
        assert_eq!(bar(0, 9), " ".repeat(20));
        assert_eq!(bar(1, 1_000_000), format!(">{}", " ".repeat(19)));
        assert_eq!(bar(1, 2), format!("{}>{}", "=".repeat(10), " ".repeat(9)));
        assert_eq!(bar(9, 9), "=".repeat(20));
        assert_eq!(bar(u64::MAX, 1), "=".repeat(20));
    }
}
