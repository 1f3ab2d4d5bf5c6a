-- A ledger of version 1, made by that version's program from two runs. Some rows were taken out by hand to keep it
-- short, and entry 8 was put in quarantine.
PRAGMA application_id = 1128885875;
PRAGMA user_version = 1;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE tenant (
    id            INTEGER PRIMARY KEY,
    source        TEXT NOT NULL,
    account       TEXT NOT NULL, -- a digest
    token         TEXT NOT NULL, -- a digest
    organizations TEXT NOT NULL, -- a sorted JSON array
    read_until    TEXT,
    UNIQUE (source, account, token, organizations)
) STRICT;
INSERT INTO tenant VALUES(1,'crowdstrike','2f9e05d0bbd34dc6caa077c6f16c71fe82cb31a249c99bfe5192ff700bbe103e','7a0e48a603db2a8475fa6c34e4d0e65d1bd45ac023b378fb996cb24dca02856c','[]','2026-11-22T09:36:46.402Z');
INSERT INTO tenant VALUES(2,'carbonblack','8ced886497f35f4140f90a03bd1f9c7abd979f669cfb4655017d78329c083a88','7a0e48a603db2a8475fa6c34e4d0e65d1bd45ac023b378fb996cb24dca02856c','[]','2026-11-22T09:36:46.666Z');
CREATE TABLE run (
    id          TEXT NOT NULL,
    tenant      INTEGER NOT NULL REFERENCES tenant (id),
    mode        TEXT NOT NULL,
    read_from   TEXT,
    read_until  TEXT,
    started_at  TEXT NOT NULL,
    finished_at TEXT,
    exit_code   INTEGER,
    counts      TEXT,
    error       TEXT,
    PRIMARY KEY (tenant, id),
    CHECK ((finished_at IS NULL) = (exit_code IS NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO run VALUES('e57934cddffb',1,'live','2026-11-21T09:36:46.402Z','2026-11-22T09:36:46.402Z','2026-11-22T09:36:46.402Z','2026-11-22T09:36:46.530Z',5,'{"alerts_fetched":107,"alerts_below_threshold":0,"alerts_unreadable":0,"alerts_without_indicator":73,"indicators_found":51,"indicators_unsupported":3,"indicators_invalid":0,"indicators_private":0,"indicators_excluded":0,"indicators_repeated":12,"already_delivered":0,"carried_in":0,"submitted":3,"processed":3,"unprocessed":0,"waiting":33,"quarantined":0}','today''s 3 submissions are used up; the rest waits, the most severe were sent first');
INSERT INTO run VALUES('e1ce271f4389',2,'live','2026-11-21T09:36:46.666Z','2026-11-22T09:36:46.666Z','2026-11-22T09:36:46.666Z','2026-11-22T09:36:46.766Z',0,'{"alerts_fetched":6,"alerts_below_threshold":0,"alerts_unreadable":0,"alerts_without_indicator":5,"indicators_found":1,"indicators_unsupported":0,"indicators_invalid":0,"indicators_private":0,"indicators_excluded":0,"indicators_repeated":0,"already_delivered":0,"carried_in":0,"submitted":1,"processed":1,"unprocessed":0,"waiting":0,"quarantined":0}',NULL);
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     INTEGER NOT NULL REFERENCES tenant (id),
    run        TEXT NOT NULL,
    kind       TEXT NOT NULL,
    value      TEXT NOT NULL,
    severity   INTEGER,
    rank       INTEGER NOT NULL GENERATED ALWAYS AS (-ifnull(severity, -1)) VIRTUAL,
    item       TEXT NOT NULL,
    stored_at  TEXT NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0,
    state      TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'quarantined')),
    status     INTEGER,
    words      TEXT,
    refused_at TEXT,
    CHECK ((state = 'quarantined') = (status IS NOT NULL)),
    CHECK ((state = 'quarantined') = (words IS NOT NULL)),
    CHECK ((state = 'quarantined') = (refused_at IS NOT NULL))
) STRICT;
INSERT INTO outbox VALUES(1,1,'e57934cddffb','hash','ba336a2b65a11bbc61c90ecc4befa69ef1c47738b671d397ac1586fddf936000',30,'{"timestamp":"2026-11-21T10:11:47.012Z","ioc":{"type":"hash","value":"ba336a2b65a11bbc61c90ecc4befa69ef1c47738b671d397ac1586fddf936000","source_type":"crowdstrike:falcon","field":"ioc_value"},"detection":{"type":"correlation","id":"5a9db0c500000000000000000000c1d0:ind:35b1d86e0092ac32757e188334677f88:69515665837-3","name":"A process did what MadeUpModel describes."},"incident":{"id":"5a9db0c500000000000000000000c1d0:ind:35b1d86e0092ac32757e188334677f88:69515665837-3","name":"MadeUpModel","type":"crowdstrike-falcon-alert"}}','2026-11-22T09:36:46.440Z',0,'waiting',NULL,NULL,NULL);
INSERT INTO outbox VALUES(4,1,'e57934cddffb','hash','3512aa3f7f05106371312a035d47610a44f43c73eabf79d252fda37f30a75b1c',10,'{"timestamp":"2026-11-21T11:13:09.415Z","ioc":{"type":"hash","value":"3512aa3f7f05106371312a035d47610a44f43c73eabf79d252fda37f30a75b1c","source_type":"crowdstrike:falcon","field":"ioc_context.ioc_value"},"detection":{"type":"correlation","id":"5a9db0c500000000000000000000c1d0:ind:7a9de9248173f4bc273383b2e53b6481:483306401755-8","name":"A process did what MadeUpBeacon describes."},"incident":{"id":"5a9db0c500000000000000000000c1d0:ind:7a9de9248173f4bc273383b2e53b6481:483306401755-8","name":"MadeUpBeacon","type":"crowdstrike-falcon-alert"},"mitre_codes":["T1071.001","TA0011"]}','2026-11-22T09:36:46.440Z',0,'waiting',NULL,NULL,NULL);
INSERT INTO outbox VALUES(5,1,'e57934cddffb','hash','65e3e0d199c56ee1523eec4fa2a4af2b6b76b8f3b1f30fdc66a7518310d286b2',10,'{"timestamp":"2026-11-21T11:13:09.415Z","ioc":{"type":"hash","value":"65e3e0d199c56ee1523eec4fa2a4af2b6b76b8f3b1f30fdc66a7518310d286b2","source_type":"crowdstrike:falcon","field":"ioc_context.ioc_value"},"detection":{"type":"correlation","id":"5a9db0c500000000000000000000c1d0:ind:7a9de9248173f4bc273383b2e53b6481:483306401755-8","name":"A process did what MadeUpBeacon describes."},"incident":{"id":"5a9db0c500000000000000000000c1d0:ind:7a9de9248173f4bc273383b2e53b6481:483306401755-8","name":"MadeUpBeacon","type":"crowdstrike-falcon-alert"},"mitre_codes":["T1071.001","TA0011"]}','2026-11-22T09:36:46.440Z',0,'waiting',NULL,NULL,NULL);
INSERT INTO outbox VALUES(6,1,'e57934cddffb','hash','b3d9677281d9bd3b3b53d8dc371e2c78ae3259c4482ead329a910555b62a35a5',50,'{"timestamp":"2026-11-21T12:05:24.957Z","ioc":{"type":"hash","value":"b3d9677281d9bd3b3b53d8dc371e2c78ae3259c4482ead329a910555b62a35a5","source_type":"crowdstrike:falcon","field":"ioc_value"},"detection":{"type":"correlation","id":"5a9db0c500000000000000000000c1d0:ind:0a2c266b32d9e96058959a5fbc75a6fb:262549243303-13","name":"A process did what MadeUpInjection describes."},"incident":{"id":"5a9db0c500000000000000000000c1d0:ind:0a2c266b32d9e96058959a5fbc75a6fb:262549243303-13","name":"MadeUpInjection","type":"crowdstrike-falcon-alert"},"mitre_codes":["T1055.012","TA0005"]}','2026-11-22T09:36:46.440Z',0,'waiting',NULL,NULL,NULL);
INSERT INTO outbox VALUES(7,1,'e57934cddffb','hash','d148308fa09af015ba171143f732dfd39eaae904d875d94ececbd7dc6bab9e18',30,'{"timestamp":"2026-11-21T12:27:10.062Z","ioc":{"type":"hash","value":"d148308fa09af015ba171143f732dfd39eaae904d875d94ececbd7dc6bab9e18","source_type":"crowdstrike:falcon","field":"ioc_value"},"detection":{"type":"correlation","id":"5a9db0c500000000000000000000c1d0:ind:2ae9b0867469e1e5610d6fc50a992d16:454753639947-14","name":"A process did what MadeUpBeacon describes."},"incident":{"id":"5a9db0c500000000000000000000c1d0:ind:2ae9b0867469e1e5610d6fc50a992d16:454753639947-14","name":"MadeUpBeacon","type":"crowdstrike-falcon-alert"},"mitre_codes":["T1071.001","TA0011"]}','2026-11-22T09:36:46.440Z',0,'waiting',NULL,NULL,NULL);
INSERT INTO outbox VALUES(8,1,'e57934cddffb','hash','f11ac4a5b79093f35af4e989c370de4d769c30c083233f38b0459af6732f88d7',70,'{"timestamp":"2026-11-21T12:37:27.691Z","ioc":{"type":"hash","value":"f11ac4a5b79093f35af4e989c370de4d769c30c083233f38b0459af6732f88d7","source_type":"crowdstrike:falcon","field":"ioc_context.ioc_value"},"detection":{"type":"correlation","id":"5a9db0c500000000000000000000c1d0:ind:ede12ca80ba82a551306d797edf59d43:629813789725-16","name":"MadeUpIntel"},"incident":{"id":"5a9db0c500000000000000000000c1d0:ind:ede12ca80ba82a551306d797edf59d43:629813789725-16","name":"MadeUpIntel","type":"crowdstrike-falcon-alert"}}','2026-11-22T09:36:46.440Z',1,'quarantined',422,'no such type','2026-11-22T09:36:46.500Z');
CREATE TABLE sighting (
    tenant       INTEGER NOT NULL REFERENCES tenant (id),
    detection    TEXT NOT NULL,
    kind         TEXT NOT NULL,
    value        TEXT NOT NULL,
    outbox       INTEGER REFERENCES outbox (id),
    delivered_at TEXT,
    dropped_at   TEXT,
    PRIMARY KEY (tenant, detection, kind, value),
    CHECK ((outbox IS NOT NULL) + (delivered_at IS NOT NULL) + (dropped_at IS NOT NULL) = 1)
) STRICT, WITHOUT ROWID;
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:0a2c266b32d9e96058959a5fbc75a6fb:262549243303-13','hash','b3d9677281d9bd3b3b53d8dc371e2c78ae3259c4482ead329a910555b62a35a5',6,NULL,NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:2ae9b0867469e1e5610d6fc50a992d16:454753639947-14','hash','d148308fa09af015ba171143f732dfd39eaae904d875d94ececbd7dc6bab9e18',7,NULL,NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:35b1d86e0092ac32757e188334677f88:69515665837-3','hash','ba336a2b65a11bbc61c90ecc4befa69ef1c47738b671d397ac1586fddf936000',1,NULL,NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:7a9de9248173f4bc273383b2e53b6481:483306401755-8','hash','3512aa3f7f05106371312a035d47610a44f43c73eabf79d252fda37f30a75b1c',4,NULL,NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:7a9de9248173f4bc273383b2e53b6481:483306401755-8','hash','65e3e0d199c56ee1523eec4fa2a4af2b6b76b8f3b1f30fdc66a7518310d286b2',5,NULL,NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:b72745d2ef2eea93bcd18bff78eee4b1:951011332949-6','domain','host-120.example.com',NULL,'2026-11-22T09:36:46.488Z',NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:b72745d2ef2eea93bcd18bff78eee4b1:951011332949-6','domain','host-398.example.org',NULL,'2026-11-22T09:36:46.488Z',NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:ede12ca80ba82a551306d797edf59d43:629813789725-16','hash','f11ac4a5b79093f35af4e989c370de4d769c30c083233f38b0459af6732f88d7',8,NULL,NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:fbb40dd842e9eb86bb3ddfc745f4c293:101324809606-24','hash','95a7ad47ed1f501150623e242fb9446c99c8d649c0519eaab63fa47a729e6b96',NULL,'2026-11-22T09:36:46.508Z',NULL);
INSERT INTO sighting VALUES(2,'35b1d86e-757e-903f-a060-5c3547aa71c7','hash','3aa0b3811125f18c5e6276955db1f2352623fd5225fa8e90079af51d4d53347f',NULL,'2026-11-22T09:36:46.740Z',NULL);
CREATE TABLE quota (
    token TEXT NOT NULL, -- a digest
    day   TEXT NOT NULL,
    used  INTEGER NOT NULL,
    PRIMARY KEY (token, day)
) STRICT, WITHOUT ROWID;
INSERT INTO quota VALUES('7a0e48a603db2a8475fa6c34e4d0e65d1bd45ac023b378fb996cb24dca02856c','2026-11-22',4);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('outbox',37);
CREATE INDEX outbox_order ON outbox (tenant, state, rank, id);
CREATE INDEX sighting_outbox ON sighting (outbox) WHERE outbox IS NOT NULL;
COMMIT;
