//! Access lists of Windows: the parts that need no Windows, so that every system tests them.

/// Returns the arguments with which `icacls` gives a file or folder to the user with this `sid`,
/// SYSTEM and administrators only. Files and folders in a folder inherit that.
pub(crate) fn icacls_arguments(sid: &str, is_folder: bool) -> Vec<String> {
    const SYSTEM: &str = "S-1-5-18";
    const ADMINISTRATORS: &str = "S-1-5-32-544";
    // Full access, for a folder also for the files (OI) and folders (CI) in it.
    let rights = if is_folder { "(OI)(CI)F" } else { "F" };
    // Without the entries of the folder above; by number, because names are translated.
    let mut arguments = vec!["/inheritance:r".to_owned(), "/grant:r".to_owned()];
    arguments.extend([sid, SYSTEM, ADMINISTRATORS].map(|sid| format!("*{sid}:{rights}")));
    arguments
}

/// Returns the number (SID) of the user in the output of `whoami /user /fo csv /nh`.
pub(crate) fn parse_sid(output: &str) -> Option<&str> {
    let (_, sid) = output.trim().rsplit_once(',')?;
    let sid = sid.strip_prefix('"')?.strip_suffix('"')?;
    let numbers = sid.strip_prefix("S-1-")?;
    let is_sid = numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    is_sid.then_some(sid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_the_user_is_read() {
        for (output, expected) in [
            ("\"acme\\svc\",\"S-1-5-21-1-2-3-1001\"\r\n", Some("S-1-5-21-1-2-3-1001")),
            ("\"nt authority\\system\",\"S-1-5-18\"\r\n", Some("S-1-5-18")),
            ("\"a,b\\c\",\"S-1-5-21-7\"", Some("S-1-5-21-7")),
            ("VM\\root\r\n", None),
            ("\"a\",\"S-1-5-18:F *S-1-1-0\"", None),
            ("\"a\",\"\"", None),
            ("", None),
        ] {
            assert_eq!(parse_sid(output), expected, "{output:?}");
        }
    }

    #[test]
    fn only_the_user_the_system_and_administrators_have_access() {
        assert_eq!(
            icacls_arguments("S-1-5-21-7", false).join(" "),
            "/inheritance:r /grant:r *S-1-5-21-7:F *S-1-5-18:F *S-1-5-32-544:F"
        );
        assert_eq!(
            icacls_arguments("S-1-5-21-7", true).join(" "),
            "/inheritance:r /grant:r *S-1-5-21-7:(OI)(CI)F *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F"
        );
    }
}
