<?php
session_start();
if (isset($_POST['user'])) $_SESSION['user'] = $_POST['user'];
?>
<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>News</title>
<h1>News</h1>
<?php if (isset($_SESSION['user'])) { ?>
<p>Hello <?= htmlspecialchars($_SESSION['user']) ?>, you also get the news for members.</p>
<?php } else { ?>
<form method="post"><input name="user" placeholder="your name" required> <button>log in</button></form>
<?php } ?>
<form id="publish"><input name="text" placeholder="something new" required> <button>publish</button></form>
<ul id="news"></ul>
<script>
// Holdfast holds this request; the app hears of it only to authorize the members' channel.
const channels = "channel=public.news<?= isset($_SESSION['user']) ? '&channel=private.members' : '' ?>";
new EventSource("/_push?" + channels).onmessage = e => {
  const item = document.createElement("li");
  item.textContent = e.data;
  document.getElementById("news").prepend(item);
};
document.getElementById("publish").onsubmit = e => {
  e.preventDefault();
  fetch("publish.php", {method: "POST", body: new FormData(e.target)});
  e.target.reset();
};
</script>
