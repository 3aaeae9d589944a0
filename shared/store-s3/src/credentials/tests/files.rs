use super::*;

const CREDENTIALS: &str = "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n\
    [prod]\r\naws_access_key_id=PROD\r\naws_secret_access_key = p=s#x\r\naws_session_token = t\r\n";
const CONFIG: &str = "[default]\nregion = eu-central-1\n[profile prod]\nregion = eu-west-3\nendpoint_url = https://s3.prod\n\
    s3 =\n    endpoint_url = https://nested\n[profile late]\naws_access_key_id = LATE\naws_secret_access_key = s\n\
    [other]\naws_access_key_id = OTHER\naws_secret_access_key = s\n[sso-session prod]\nregion = us-east-2\n";

#[test]
fn the_profile_that_is_named_gives_the_key() {
    let home = Home::new(CREDENTIALS, CONFIG);
    assert_eq!(id(&[("HOME", home.path())]), "DEFAULT");
    assert_eq!(id(&[("HOME", home.path()), ("AWS_DEFAULT_PROFILE", "prod")]), "PROD");
    assert_eq!(id(&[("HOME", home.path()), ("AWS_PROFILE", "late"), ("AWS_DEFAULT_PROFILE", "prod")]), "LATE");
    let key = get(&provider(&[("HOME", home.path()), ("AWS_PROFILE", "prod")])).unwrap();
    assert_eq!((key.secret.as_str(), key.token.as_deref(), key.expires), ("p=s#x", Some("t"), None));
}

#[test]
fn files_are_where_the_variables_say() {
    let home = Home::new("", "");
    let credentials = home.file("c", "[x]\naws_access_key_id = X\naws_secret_access_key = s\n");
    let config = home.file("f", "[profile x]\nregion = r-1\n");
    let set = [
        ("HOME", home.path()),
        ("AWS_SHARED_CREDENTIALS_FILE", &credentials),
        ("AWS_CONFIG_FILE", "~/f"),
        ("AWS_PROFILE", "x"),
    ];
    assert_eq!(id(&set), "X");
    assert_eq!(environment(&set).profile_region().as_deref(), Some("r-1"));
    assert!(config.ends_with("/f"));
}

#[test]
fn region_and_endpoint_are_the_profiles() {
    let home = Home::new(CREDENTIALS, CONFIG);
    let of = |set: &[(&str, &str)]| {
        let read = environment(&[&[("HOME", home.path())], set].concat());
        (read.profile_region(), read.profile_endpoint())
    };
    assert_eq!(of(&[]), (Some("eu-central-1".into()), None));
    assert_eq!(of(&[("AWS_PROFILE", "prod")]), (Some("eu-west-3".into()), Some("https://s3.prod".into())));
    assert_eq!(of(&[("AWS_PROFILE", "absent")]), (None, None));
    let ignored = [("AWS_PROFILE", "prod"), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")];
    assert_eq!(of(&ignored).1, None);
    assert_eq!(environment(&[]).profile_region(), None);
    let set = [("HOME", home.path()), ("AWS_PROFILE", "prod")];
    let look = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    let config = crate::Config::read(&look).unwrap();
    assert_eq!((config.region.as_deref(), config.endpoint.as_deref()), (Some("eu-west-3"), Some("https://s3.prod")));
}

#[test]
fn a_profile_that_is_named_and_absent_is_an_error_and_nothing_else_is_asked() {
    let home = Home::new(CREDENTIALS, CONFIG);
    let imds = instance("IMDS");
    for name in ["gone", "other", "sso-session prod"] {
        let error = failure(&[
            ("HOME", home.path()),
            ("AWS_PROFILE", name),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.origin),
        ]);
        assert!(
            matches!(&error, Error::Config(why) if why.text.contains(&format!("no profile {name} in "))),
            "{error:?}"
        );
    }
    assert!(imds.seen().is_empty());
    let error = failure(&[("AWS_PROFILE", "gone")]);
    assert!(error.why().text.contains("HOME is not set"), "{error:?}");
}

#[test]
fn files_that_are_absent_are_empty() {
    let folder = tempfile::tempdir().unwrap();
    let error = failure(&[("HOME", folder.path().to_str().unwrap())]);
    let Error::Config(why) = &error else { panic!("{error:?}") };
    assert!(why.text.contains(".aws/credentials does not exist"), "{why:?}");
    assert!(why.text.contains("AWS_ACCESS_KEY_ID is not set") && why.hint.is_some(), "{why:?}");
}

#[test]
fn a_file_that_is_none_is_told_by_its_line() {
    let home = Home::new("[default]\naws_access_key_id = A\nMYSECRETWITHOUTNAME\n", "");
    let error = failure(&[("HOME", home.path())]);
    let Error::Config(why) = &error else { panic!("{error:?}") };
    assert!(why.text.contains("line 3 of ") && !why.text.contains("MYSECRET"), "{why:?}");
    let error = failure(&[("AWS_CONFIG_FILE", home.path())]);
    assert!(matches!(&error, Error::Config(why) if why.text.contains("cannot read ")), "{error:?}");
}

#[test]
fn half_a_key_is_no_key() {
    let home = Home::new("[default]\naws_access_key_id = A\n[b]\naws_secret_access_key = HUSH\n", "");
    let error = failure(&[("HOME", home.path())]);
    assert!(error.why().text.contains("no aws_secret_access_key"), "{error:?}");
    let error = failure(&[("HOME", home.path()), ("AWS_PROFILE", "b")]);
    assert!(error.why().text.contains("no aws_access_key_id") && !format!("{error:?}").contains("HUSH"), "{error:?}");
    let error = failure(&[("AWS_SECRET_ACCESS_KEY", "HUSH")]);
    assert!(matches!(error, Error::Config(_)) && !format!("{error:?}").contains("HUSH"), "{error:?}");
}

#[test]
fn single_sign_on_says_what_to_do_and_is_passed_by_a_process_beside_it() {
    let sso = "[profile s]\nsso_session = my\nsso_account_id = 1\nsso_role_name = r\n";
    let home = Home::new("", sso);
    let error = failure(&[("HOME", home.path()), ("AWS_PROFILE", "s")]);
    let Error::Config(why) = &error else { panic!("{error:?}") };
    let hint = why.hint.as_deref().unwrap();
    assert!(hint.contains("credential_process = aws configure export-credentials --profile s --format process"));
    let json = json_key("HELPED", "SessionToken", 3600);
    let file = home.file("key.json", &json);
    let home = Home::new("", &format!("{sso}credential_process = cat {file}\n"));
    assert_eq!(id(&[("HOME", home.path()), ("AWS_PROFILE", "s")]), "HELPED");
}

#[test]
fn with_keys_in_variables_no_file_is_opened() {
    let home = Home::new("", "");
    let trap = home.folder.path().join("trap"); // who opens a fifo to read it waits for its writer
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &trap, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let trap = trap.to_str().unwrap().to_owned();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let set = [
            ("AWS_ACCESS_KEY_ID", "VARIABLE"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_SECURITY_TOKEN", "old"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_PROFILE", "x"),
            ("AWS_CONFIG_FILE", &trap),
            ("AWS_SHARED_CREDENTIALS_FILE", &trap),
        ];
        let look = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        crate::Config::read(&look).unwrap();
        sender.send(get(&provider(&set)).unwrap()).unwrap();
    });
    let key = receiver.recv_timeout(Duration::from_secs(10)).expect("no file is opened");
    assert_eq!((key.id.as_str(), key.token.as_deref()), ("VARIABLE", Some("old")));
}
