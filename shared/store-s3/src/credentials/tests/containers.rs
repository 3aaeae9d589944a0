use super::*;

/// An agent that wants `token`.
fn agent(token: &'static str) -> Service {
    Service::new(move |asked, _| match asked.header("authorization") {
        given if given == token => (200, json_key("ECS", "Token", 3600)),
        given => (403, format!("{{\"code\": \"AccessDenied\", \"message\": \"no role for {given}\"}}")),
    })
}

#[test]
fn a_relative_address_is_of_the_agent() {
    let agent = agent("");
    let mut provider = provider(&[
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1?x=y"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://never.example/"),
    ]);
    assert_eq!(provider.agent, "http://169.254.170.2");
    provider.agent = agent.origin.clone();
    let key = get(&provider).unwrap();
    assert_eq!((key.id.as_str(), key.token.as_deref()), ("ECS", Some("json-token")));
    assert_eq!(agent.seen()[0].path, "/v2/credentials/1?x=y");
    for bad in ["relative", "@evil.example/", "http://evil.example/"] {
        let error = failure(&[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", bad)]);
        assert!(matches!(error, Error::Config(_)), "{bad}");
    }
}

#[test]
fn the_token_is_the_files_before_the_variables() {
    let agent = agent("from file");
    let home = Home::new("", "");
    let file = home.file("token", "from file\n");
    let uri = format!("{}/role", agent.origin);
    let set = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "from variable"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file),
    ];
    assert_eq!(id(&set), "ECS");
    let error = failure(&set[..2]);
    let Error::Denied(why) = &error else { panic!("{error:?}") };
    assert!(why.text.contains("403 AccessDenied: no role for …") && why.hint.is_some(), "{why:?}");
    assert_eq!(agent.seen().len(), 2); // a refusal is not asked again
    for (file, words) in [(home.file("two", "a\nHUSH"), "is not one line"), ("/nonexistent".into(), "no such file")] {
        let error = failure(&[set[0], ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file)]);
        assert!(matches!(&error, Error::Config(why) if why.text.contains(words)), "{error:?}");
        assert!(!format!("{error:?}").contains("HUSH"));
    }
}

#[test]
fn without_tls_nobody_far_is_asked() {
    for uri in ["http://192.0.2.1/x", "http://169.254.169.254/x", "http://localhost.example/x", "ftp://localhost/", "x"]
    {
        let error =
            failure(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "HUSH")]);
        assert!(matches!(&error, Error::Config(_)), "{uri}: {error:?}");
    }
}

#[test]
fn an_endpoint_that_stumbles_is_asked_again_and_no_other_source_after_it() {
    let agent =
        Service::new(|_, number| if number == 0 { (500, String::new()) } else { (200, json_key("ECS", "Token", 60)) });
    let imds = instance("IMDS");
    let set = |uri| {
        [("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.origin.as_str())]
    };
    assert_eq!(id(&set(&agent.origin)), "ECS");
    let absent = nobody();
    let error = failure(&set(&absent));
    assert!(
        matches!(&error, Error::Unreachable(why) if why.text.contains("container's credentials endpoint")),
        "{error:?}"
    );
    let garbage = Service::new(|_, _| (200, "{\"SecretAccessKey\": 7".to_owned()));
    assert!(matches!(failure(&set(&garbage.origin)), Error::Corrupt(_)));
    assert!(imds.seen().is_empty());
}
