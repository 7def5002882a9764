CREATE TABLE empty (id INT PRIMARY KEY);
CREATE TABLE numbers (
  id INT AUTO_INCREMENT PRIMARY KEY, b BIT(13), f FLOAT, f2 FLOAT(9,3), d DOUBLE, dec1 DECIMAL(38,10),
  big BIGINT UNSIGNED, z INT ZEROFILL, y YEAR, bo BOOLEAN) AUTO_INCREMENT=4711;
INSERT INTO numbers (b, f, f2, d, dec1, big, z, y, bo) VALUES
  (b'1010101010101', 16777217, 123456.789, 0.1, 1234567890123456789012345678.0123456789,
   18446744073709551615, 42, 2026, TRUE),
  (NULL, 1.2345678, NULL, 1e308, -0.0000000001, 0, NULL, 1901, FALSE),
  (b'0', 1e-38, 0.001, -2.2250738585072014e-308, NULL, NULL, 0, NULL, NULL),
  (b'1', 3.40282e38, -99999.5, 3.141592653589793, 0, 1, 1, 2155, TRUE),
  (b'1', 0.1, 1.1, 1.7976931348623157e308, 0, 1, 1, 2155, TRUE);
CREATE TABLE texts (
  id INT PRIMARY KEY, t TEXT, v VARCHAR(200), l VARCHAR(50) CHARACTER SET latin1,
  u2 VARCHAR(50) CHARACTER SET ucs2, g VARCHAR(50) CHARACTER SET gbk, e ENUM('a','b''c','ü'),
  s SET('x','y','z'), j JSON, c CHAR(10) COLLATE utf8mb4_bin) CHARACTER SET utf8mb4;
INSERT INTO texts VALUES
  (1, 'line\nbreak\r\ntab\t\0nul\Z', 'quote '' and \\ back " double', 'é€ß', 'ucs漢', '縗\\誠', 'b''c', 'x,z',
   '{"a": [1, "😀", null]}', 'x   '),
  (2, '😀 ),\n(3, ''forged''', '\n\nUNLOCK TABLES;\n', '', '', '', NULL, '', '[]', ''),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, ',\n(', 'INSERT INTO `x` VALUES', ';', '--', '/*', 'a', 'x', '"s"', 'NULL'),
  (5, 'NULL', '\\N', '\\', '''', '\\''', 'ü', 'y', 'null', '0x41');
CREATE TABLE binaries (
  id INT PRIMARY KEY, b BLOB, l LONGBLOB, v VARBINARY(300), f BINARY(4), g GEOMETRY, p POINT, i6 INET6, u UUID);
INSERT INTO binaries VALUES
  (1, 0x00FF0A0D271A5C22, REPEAT(0x0A27, 1000), '', 0x01, ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))'),
   POINT(1.5, -2), '2001:db8::1', '123e4567-e89b-12d3-a456-426655440000'),
  (2, '', '', NULL, NULL, NULL, NULL, NULL, NULL),
  (3, 'text', REPEAT('x', 300000), 'v', 'abcd', NULL, NULL, '::', NULL);
CREATE TABLE times (
  id INT PRIMARY KEY, ts TIMESTAMP(6) NULL, dt DATETIME(6), d DATE, ti TIME(3));
SET time_zone = '+00:00';
INSERT INTO times VALUES (1, '2026-03-29 01:30:00.123456', '9999-12-31 23:59:59.999999', '0001-01-01',
  '-838:59:59'), (2, '2026-10-25 01:30:00', '2026-03-29 02:30:00', '2024-02-29', '00:00:00.001'),
  (3, NULL, NULL, NULL, NULL);
CREATE TABLE made (
  id INT AUTO_INCREMENT PRIMARY KEY, a INT, virt INT AS (a * 2) VIRTUAL, stor INT AS (a + 1) STORED,
  hidden INT INVISIBLE DEFAULT 7, js JSON, CHECK (a < 1000), CONSTRAINT named CHECK (a <> 13));
INSERT INTO made (id, a, hidden) VALUES (1, 1, 70), (2, NULL, NULL), (5, -4, 3);
CREATE TABLE nokey (a INT, b VARCHAR(20), UNIQUE KEY (a), KEY prefix (b(3)), FULLTEXT KEY (b));
INSERT INTO nokey VALUES (3, 'c'), (NULL, 'x'), (1, 'a'), (NULL, 'x');
CREATE TABLE nothing_unique (a INT);
INSERT INTO nothing_unique VALUES (1), (1), (1);
CREATE TABLE circle_a (id INT PRIMARY KEY, b_id INT);
CREATE TABLE circle_b (id INT PRIMARY KEY, a_id INT, FOREIGN KEY (a_id) REFERENCES circle_a (id) ON DELETE CASCADE);
INSERT INTO circle_a VALUES (1, 1), (2, 2);
INSERT INTO circle_b VALUES (1, 2), (2, 1);
ALTER TABLE circle_a ADD CONSTRAINT to_b FOREIGN KEY (b_id) REFERENCES circle_b (id);
CREATE TABLE tree (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES tree (id));
INSERT INTO tree VALUES (9, NULL), (1, 9), (2, 1);
CREATE TABLE parts (id INT, day DATE, PRIMARY KEY (id, day)) PARTITION BY RANGE (YEAR(day)) (
  PARTITION p0 VALUES LESS THAN (2025), PARTITION p1 VALUES LESS THAN (2026), PARTITION rest VALUES LESS THAN MAXVALUE);
INSERT INTO parts VALUES (1, '2024-01-01'), (2, '2025-05-05'), (3, '2030-01-01');
CREATE SEQUENCE numbers_seq START WITH 100 INCREMENT BY 10 CACHE 5;
SELECT NEXT VALUE FOR numbers_seq;
CREATE TABLE history (id INT PRIMARY KEY, v VARCHAR(20)) WITH SYSTEM VERSIONING;
INSERT INTO history VALUES (1, 'one'), (2, 'two');
UPDATE history SET v = 'uno' WHERE id = 1;
DELETE FROM history WHERE id = 2;
CREATE TABLE periods (id INT, s DATE, e DATE, PERIOD FOR p (s, e), PRIMARY KEY (id, p WITHOUT OVERLAPS));
INSERT INTO periods VALUES (1, '2020-01-01', '2021-01-01');
CREATE TABLE compressed (id INT PRIMARY KEY, t LONGTEXT) ROW_FORMAT=COMPRESSED COMMENT='it''s a \\ comment\nof two lines';
INSERT INTO compressed VALUES (1, REPEAT('all work and no play ', 5000));
CREATE TABLE watched (id INT AUTO_INCREMENT PRIMARY KEY, v INT, seen INT DEFAULT 0);
CREATE TABLE seen (id INT AUTO_INCREMENT PRIMARY KEY, watched_id INT);
INSERT INTO watched (v) VALUES (1), (2);
