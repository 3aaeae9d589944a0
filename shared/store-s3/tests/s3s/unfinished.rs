//! Uploads that were begun and not finished, page by page.

use store::{Error, Store};

use crate::server::{Fault, Kind, Options, PREFIX, Server};
use crate::{key, put, stream};

#[test]
fn they_are_found_on_every_page_and_below_their_folder_only() {
    let server = Server::start(Options { page: 2, ..Options::default() });
    for n in 0..5 {
        server.bucket().begin(&format!("{PREFIX}/here/same"), Default::default());
        server.bucket().begin(&format!("{PREFIX}/there/{n}"), Default::default());
        server.bucket().begin(&format!("elsewhere/{n}"), Default::default());
    }
    let names = |folder: Option<&str>| {
        let mut names = Vec::new();
        let folder = folder.map(key);
        server
            .store(&[])
            .unfinished(folder.as_ref(), &mut |upload| {
                names.push(upload.key);
                Ok(())
            })
            .unwrap();
        names
    };
    assert_eq!(names(Some("here")), ["here/same"; 5]);
    assert_eq!(names(None).len(), 10);
    assert_eq!(names(Some("the")), [""; 0]);
}

#[test]
fn a_list_that_breaks_off_is_not_whole() {
    let upload = format!("<Upload><Key>{PREFIX}/x</Key><UploadId>1</UploadId></Upload>");
    let next = format!("<NextKeyMarker>{PREFIX}/x</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker>");
    for inner in [upload.clone(), upload + &next, String::new()] {
        let server = Server::start(Options::default());
        let text =
            format!("<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>{inner}</ListMultipartUploadsResult>");
        server.fault(Kind::Uploads, 0..100, Fault::Document(text));
        let mut told = 0;
        let result = server.store(&[]).unfinished(None, &mut |_| {
            told += 1;
            Ok(())
        });
        assert!(matches!(result, Err(Error::Corrupt(_))), "{result:?}");
        assert!(told <= 2);
    }
}

#[test]
fn an_upload_that_fails_on_its_way_is_aborted() {
    let server = Server::start(Options::default());
    server.fault(Kind::Part, 2..3, Fault::Answer(403, "AccessDenied", Vec::new()));
    let failed = put(&server.store(&[]), "one", &stream(6, 1), &Default::default());
    assert!(matches!(failed, Err(Error::Denied(_))), "{failed:?}");
    assert!(server.bucket().uploads.is_empty() && server.store(&[]).head(&key("one")).unwrap().is_none());
}
