<?php
// A login and a page as they are without Holdfast, but for the scripts at the end of the page.
require 'people.php';
session_start();
$failed = false;
if (isset($_POST['user'], $_POST['password'])) {
    if (password_verify($_POST['password'], PEOPLE[$_POST['user']]['password'] ?? '')) {
        session_regenerate_id(true);
        $_SESSION['user'] = $_POST['user'];
        header('Location: index.php', true, 303);
        exit;
    }
    $failed = true;
}
$user = $_SESSION['user'] ?? null;
?>
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Parcels</title>
<link rel="stylesheet" href="parcels.css">
</head>
<body>
<?php if ($user === null) { ?>
<form class="card" method="post">
  <h1>Where is my parcel?</h1>
  <?php if ($failed) { ?><p class="wrong">That name and password do not go together.</p><?php } ?>
  <label>Name <input name="user" autocomplete="username" required></label>
  <label>Password <input name="password" type="password" autocomplete="current-password" required></label>
  <button id="login">Log in</button>
</form>
<?php } else { $parcel = parcel(PEOPLE[$user]['parcel']); ?>
<div class="card">
  <header>
    <span id="who">Logged in as <b><?= htmlspecialchars($user) ?></b></span>
    <form method="post" action="logout.php"><button id="logout" class="quiet">Log out</button></form>
  </header>
  <h1>Parcel <span id="parcel"><?= htmlspecialchars($parcel['parcel']) ?></span></h1>
  <ol id="stops">
    <?php foreach ($parcel['stops'] as $stop) { ?>
    <li><time><?= $stop['at'] ?></time> <span><?= htmlspecialchars($stop['text']) ?></span></li>
    <?php } ?>
  </ol>
  <p id="light"><span id="word">Connecting…</span></p>
</div>
<script src="/_push/client.js"></script>
<script>var push = new Holdfast("user.<?= rawurlencode($user) ?>", {url: "/_push?last=1"});</script>
<script src="parcels.js"></script>
<?php } ?>
</body>
</html>
