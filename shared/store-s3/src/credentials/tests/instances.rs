use super::*;

#[test]
fn an_instances_role_gives_a_key_by_version_2() {
    let imds = instance("IMDS");
    let key = get(&provider(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("{}/", imds.origin))])).unwrap();
    assert_eq!((key.id.as_str(), key.token.as_deref()), ("IMDS", Some("json-token")));
    let seen = imds.seen();
    assert_eq!(seen.iter().map(|asked| asked.method.as_str()).collect::<Vec<_>>(), ["PUT", "GET", "GET"]);
    assert!(seen[1..].iter().all(|asked| asked.header("x-aws-ec2-metadata-token") == "imds-token"));
}

#[test]
fn outside_ec2_that_is_known_within_three_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap(); // takes connections, and never answers
    let silent = format!(
        "http://{}",
        silent
            .local_addr()
            .map(|a| (a, silent))
            .map(|(a, l)| {
                std::mem::forget(l);
                a
            })
            .unwrap()
    );
    for place in [silent, nobody()] {
        let start = Instant::now();
        let error = failure(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &place)]);
        assert!(start.elapsed() < Duration::from_millis(3500), "{:?}", start.elapsed());
        let Error::Config(why) = &error else { panic!("{error:?}") };
        assert!(why.text.starts_with("no credentials for S3 were found: AWS_ACCESS_KEY_ID is not set"), "{why:?}");
        assert!(why.text.contains("no instance metadata service"), "{why:?}");
    }
}

#[test]
fn a_service_that_is_disabled_is_not_asked() {
    let imds = instance("IMDS");
    let set = [("AWS_EC2_METADATA_DISABLED", "TRUE"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.origin.as_str())];
    let error = failure(&set);
    assert!(matches!(&error, Error::Config(why) if why.text.contains("AWS_EC2_METADATA_DISABLED")), "{error:?}");
    assert!(imds.seen().is_empty());
}

#[test]
fn an_endpoint_that_is_none_is_told() {
    for bad in ["x", "https://localhost", "http://u:hush@localhost", "ftp://localhost"] {
        let error = failure(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", bad)]);
        assert!(matches!(&error, Error::Config(why) if why.text.contains("SERVICE_ENDPOINT is not")), "{error:?}");
        assert!(!format!("{error:?}").contains("hush"));
    }
    let v6 = environment(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6")]);
    assert_eq!(instance::base(&v6).unwrap(), "http://[fd00:ec2::254]");
}

#[test]
fn what_is_no_such_service_or_has_no_role_gives_none() {
    for (status, roles, words) in [
        (404, 200, "answered 404 where the instance metadata service"),
        (403, 200, "answered 403 where the instance metadata service"),
        (200, 404, "this instance has no role"),
    ] {
        let service = Service::new(move |asked, _| match asked.method.as_str() {
            "PUT" => (status, "t".to_owned()),
            _ => (roles, String::new()),
        });
        let error = failure(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &service.origin)]);
        assert!(matches!(&error, Error::Config(why) if why.text.contains(words)), "{error:?}");
    }
}

#[test]
fn a_service_that_is_there_and_fails_is_no_absence() {
    let busy = Service::new(|asked, _| if asked.method == "PUT" { (200, "t".into()) } else { (503, String::new()) });
    assert!(matches!(failure(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &busy.origin)]), Error::Busy(_)));
    assert_eq!(busy.seen().len(), 4);
    let untrusted = Service::new(|asked, _| match asked.path.rsplit('/').next() {
        Some("token") => (200, "t".into()),
        Some("") => (200, "r".into()),
        _ => (200, "{\"Code\": \"AssumeRoleUnauthorizedAccess\", \"Message\": \"m\"}".into()),
    });
    let error = failure(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &untrusted.origin)]);
    assert!(
        matches!(&error, Error::Denied(why) if why.text.contains("role r: AssumeRoleUnauthorizedAccess")),
        "{error:?}"
    );
}

#[test]
fn a_key_that_the_service_gives_out_beyond_its_end_is_taken() {
    let imds = Service::new(|asked, _| match asked.path.rsplit('/').next() {
        Some("token") => (200, "t".into()),
        Some("") => (200, "r".into()),
        _ => (200, json_key("OLD", "Token", -60)),
    });
    let provider = provider(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.origin)]);
    assert_eq!(get(&provider).unwrap().id, "OLD");
    assert_eq!(get(&provider).unwrap().id, "OLD");
    assert_eq!(imds.seen().len(), 3); // and not asked for at each request
}
