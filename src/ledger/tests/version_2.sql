-- A ledger of version 2, made by that version's program from three runs, two of them cut short by a daily limit, and
-- an `outbox drop`. By hand, entries 11 (dropped then) and 12 were put in quarantine, and a second detection was
-- merged into entry 13.
PRAGMA application_id = 1128885875;
PRAGMA user_version = 2;
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
INSERT INTO tenant VALUES(1,'crowdstrike','2f9e05d0bbd34dc6caa077c6f16c71fe82cb31a249c99bfe5192ff700bbe103e','7a0e48a603db2a8475fa6c34e4d0e65d1bd45ac023b378fb996cb24dca02856c','[]','2026-11-22T12:10:08.680Z');
INSERT INTO tenant VALUES(2,'carbonblack','8ced886497f35f4140f90a03bd1f9c7abd979f669cfb4655017d78329c083a88','7a0e48a603db2a8475fa6c34e4d0e65d1bd45ac023b378fb996cb24dca02856c','[]','2026-11-22T12:09:54.030Z');
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
INSERT INTO run VALUES('44135f0be50d',1,'live','2026-11-21T12:10:08.680Z','2026-11-22T12:10:08.680Z','2026-11-22T12:10:08.691Z','2026-11-22T12:10:08.707Z',5,'{"alerts_fetched":35,"alerts_below_threshold":0,"alerts_unreadable":0,"alerts_without_indicator":24,"indicators_found":19,"indicators_unsupported":0,"indicators_invalid":0,"indicators_private":0,"indicators_excluded":0,"indicators_repeated":6,"already_delivered":13,"carried_in":4,"submitted":1,"processed":1,"unprocessed":0,"waiting":3,"quarantined":0}','today''s 12 submissions are used up; the rest waits, the most severe were sent first');
INSERT INTO run VALUES('afcff831cdc0',1,'live','2026-11-21T12:09:53.838Z','2026-11-22T12:09:53.838Z','2026-11-22T12:09:53.934Z','2026-11-22T12:09:53.982Z',5,'{"alerts_fetched":35,"alerts_below_threshold":0,"alerts_unreadable":0,"alerts_without_indicator":24,"indicators_found":19,"indicators_unsupported":0,"indicators_invalid":0,"indicators_private":0,"indicators_excluded":0,"indicators_repeated":6,"already_delivered":0,"carried_in":0,"submitted":9,"processed":9,"unprocessed":0,"waiting":4,"quarantined":0}','today''s 9 submissions are used up; the rest waits, the most severe were sent first');
INSERT INTO run VALUES('461177f7f8a6',2,'live','2026-11-21T12:09:54.030Z','2026-11-22T12:09:54.030Z','2026-11-22T12:09:54.070Z','2026-11-22T12:09:54.118Z',0,'{"alerts_fetched":8,"alerts_below_threshold":0,"alerts_unreadable":0,"alerts_without_indicator":6,"indicators_found":2,"indicators_unsupported":0,"indicators_invalid":0,"indicators_private":0,"indicators_excluded":0,"indicators_repeated":0,"already_delivered":0,"carried_in":0,"submitted":2,"processed":2,"unprocessed":0,"waiting":0,"quarantined":0}',NULL);
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
INSERT INTO outbox VALUES(12,1,'afcff831cdc0','hash','3512aa3f7f05106371312a035d47610a44f43c73eabf79d252fda37f30a75b1c',10,'{"timestamp":"2026-11-21T17:04:10.322Z","ioc":{"type":"hash","value":"3512aa3f7f05106371312a035d47610a44f43c73eabf79d252fda37f30a75b1c","source_type":"crowdstrike:falcon","field":"ioc_context.ioc_value"},"detection":{"type":"correlation","id":"5a9db0c500000000000000000000c1d0:ind:7a9de9248173f4bc273383b2e53b6481:483306401755-8","name":"A process did what MadeUpBeacon describes."},"incident":{"id":"5a9db0c500000000000000000000c1d0:ind:7a9de9248173f4bc273383b2e53b6481:483306401755-8","name":"MadeUpBeacon","type":"crowdstrike-falcon-alert"},"mitre_codes":["T1071.001","TA0011"]}','2026-11-22T12:09:53.948Z',1,'quarantined',422,'no such type','2026-11-22T12:10:30.500Z');
INSERT INTO outbox VALUES(13,1,'afcff831cdc0','hash','65e3e0d199c56ee1523eec4fa2a4af2b6b76b8f3b1f30fdc66a7518310d286b2',10,'{"timestamp":"2026-11-21T17:04:10.322Z","ioc":{"type":"hash","value":"65e3e0d199c56ee1523eec4fa2a4af2b6b76b8f3b1f30fdc66a7518310d286b2","source_type":"crowdstrike:falcon","field":"ioc_context.ioc_value"},"detection":{"type":"correlation","id":"5a9db0c500000000000000000000c1d0:ind:7a9de9248173f4bc273383b2e53b6481:483306401755-8","name":"A process did what MadeUpBeacon describes."},"incident":{"id":"5a9db0c500000000000000000000c1d0:ind:7a9de9248173f4bc273383b2e53b6481:483306401755-8","name":"MadeUpBeacon","type":"crowdstrike-falcon-alert"},"mitre_codes":["T1071.001","TA0011"]}','2026-11-22T12:09:53.948Z',0,'waiting',NULL,NULL,NULL);
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
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:0a2c266b32d9e96058959a5fbc75a6fb:262549243303-13','hash','b3d9677281d9bd3b3b53d8dc371e2c78ae3259c4482ead329a910555b62a35a5',NULL,'2026-11-22T12:09:53.962Z',NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:2ae9b0867469e1e5610d6fc50a992d16:454753639947-14','hash','d148308fa09af015ba171143f732dfd39eaae904d875d94ececbd7dc6bab9e18',NULL,'2026-11-22T12:10:08.693Z',NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:35b1d86e0092ac32757e188334677f88:69515665837-3','hash','ba336a2b65a11bbc61c90ecc4befa69ef1c47738b671d397ac1586fddf936000',NULL,'2026-11-22T12:09:53.962Z',NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:4da4db62ad0ef6f73d0e96db8ff2cba7:543320821426-17','url','http://host-c8.example.org/path,with,commas?n=200',NULL,'2026-11-22T12:09:53.962Z',NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:6cd41238f375fa9a1a20fa58d35b3a9a:890212306659-36','hash','ede298be0a5f166625b79c38ef7168be2179cfd0a4782ed559c0fe3660aeb316',NULL,NULL,'2026-11-22T12:10:08.763Z');
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:784cc001587bc2ce0ee25dbb2db77a92:404613514108-33','domain','host-311.example.org',NULL,'2026-11-22T12:09:53.962Z',NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:7a9de9248173f4bc273383b2e53b6481:483306401755-8','hash','3512aa3f7f05106371312a035d47610a44f43c73eabf79d252fda37f30a75b1c',12,NULL,NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:7a9de9248173f4bc273383b2e53b6481:483306401755-8','hash','65e3e0d199c56ee1523eec4fa2a4af2b6b76b8f3b1f30fdc66a7518310d286b2',13,NULL,NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:7a9de9248173f4bc273383b2e53b6481:999999999999-9','hash','65e3e0d199c56ee1523eec4fa2a4af2b6b76b8f3b1f30fdc66a7518310d286b2',13,NULL,NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:b72745d2ef2eea93bcd18bff78eee4b1:951011332949-6','domain','host-120.example.com',NULL,'2026-11-22T12:09:53.962Z',NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:b72745d2ef2eea93bcd18bff78eee4b1:951011332949-6','domain','host-398.example.org',NULL,'2026-11-22T12:09:53.962Z',NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:d88bc62f1d944183a8e521109e9e6439:884284439868-29','hash','18543a8067a882c4f4ceab1a50e5b2c4fd87ce598682480a27fbd3cc4eb909e8',NULL,'2026-11-22T12:09:53.962Z',NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:ede12ca80ba82a551306d797edf59d43:629813789725-16','hash','f11ac4a5b79093f35af4e989c370de4d769c30c083233f38b0459af6732f88d7',NULL,'2026-11-22T12:09:53.962Z',NULL);
INSERT INTO sighting VALUES(1,'5a9db0c500000000000000000000c1d0:ind:fbb40dd842e9eb86bb3ddfc745f4c293:101324809606-24','hash','95a7ad47ed1f501150623e242fb9446c99c8d649c0519eaab63fa47a729e6b96',NULL,'2026-11-22T12:09:53.962Z',NULL);
INSERT INTO sighting VALUES(2,'35b1d86e-757e-903f-a060-5c3547aa71c7','hash','3aa0b3811125f18c5e6276955db1f2352623fd5225fa8e90079af51d4d53347f',NULL,'2026-11-22T12:09:54.114Z',NULL);
INSERT INTO sighting VALUES(2,'b72745d2-bcd1-a8cb-254f-9960aa83fcbc','hash','b8234f94a58aa252a228adb592b8e3b36ce410abf4156aedb5d65d8b6d970c3e',NULL,'2026-11-22T12:09:54.114Z',NULL);
CREATE TABLE quota (
    token TEXT NOT NULL, -- a digest
    day   TEXT NOT NULL,
    used  INTEGER NOT NULL,
    PRIMARY KEY (token, day)
) STRICT, WITHOUT ROWID;
INSERT INTO quota VALUES('7a0e48a603db2a8475fa6c34e4d0e65d1bd45ac023b378fb996cb24dca02856c','2026-11-22',12);
CREATE TABLE technique (
    tenant      INTEGER NOT NULL REFERENCES tenant (id),
    day         TEXT NOT NULL,
    code        TEXT NOT NULL,
    submissions INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, code)
) STRICT, WITHOUT ROWID;
INSERT INTO technique VALUES(1,'2026-11-22','T1003.001',2);
INSERT INTO technique VALUES(1,'2026-11-22','T1055.012',1);
INSERT INTO technique VALUES(1,'2026-11-22','T1071.001',1);
INSERT INTO technique VALUES(1,'2026-11-22','T1204',3);
INSERT INTO technique VALUES(2,'2026-11-22','T1055',1);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('outbox',15);
CREATE INDEX outbox_order ON outbox (tenant, state, rank, id);
CREATE INDEX sighting_outbox ON sighting (outbox) WHERE outbox IS NOT NULL;
COMMIT;
