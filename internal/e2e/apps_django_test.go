//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const djangoPassword = "a secret & more"

// startDjango runs a Django with its admin pages for one model behind gunicorn and returns its address. Its
// user is admin.
func startDjango(t *testing.T, page *appPage) string {
	t.Helper()
	python := program(t, "/usr/bin/python3", "python3")
	program(t, "/usr/lib/python3/dist-packages/django/__init__.py", "python3-django")
	program(t, "/usr/bin/gunicorn", "gunicorn")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"settings.py": `
import os
DIR = os.path.dirname(os.path.abspath(__file__))
SECRET_KEY = 'only of this test'
DATA_UPLOAD_MAX_MEMORY_SIZE = None
DEBUG = True
ALLOWED_HOSTS = ['127.0.0.1']
ROOT_URLCONF = 'urls'
INSTALLED_APPS = ['django.contrib.' + a for a in ('admin', 'auth', 'contenttypes', 'sessions', 'messages', 'staticfiles')] + ['parcels']
MIDDLEWARE = [
    'django.contrib.sessions.middleware.SessionMiddleware',
    'django.middleware.common.CommonMiddleware',
    'django.middleware.csrf.CsrfViewMiddleware',
    'django.contrib.auth.middleware.AuthenticationMiddleware',
    'django.contrib.messages.middleware.MessageMiddleware',
]
TEMPLATES = [{
    'BACKEND': 'django.template.backends.django.DjangoTemplates',
    'APP_DIRS': True,
    'OPTIONS': {'context_processors': [
        'django.template.context_processors.request',
        'django.contrib.auth.context_processors.auth',
        'django.contrib.messages.context_processors.messages',
    ]},
}]
DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': os.path.join(DIR, 'db.sqlite3')}}
DEFAULT_AUTO_FIELD = 'django.db.models.AutoField'
STATIC_URL = '/static/'
MEDIA_URL = '/media/'
MEDIA_ROOT = os.path.join(DIR, 'media')
` + page.code(t, "python", "SECURE_PROXY"),
		"urls.py": `
from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
import push
def length(request):
    return HttpResponse('%s bytes' % len(request.body))
urlpatterns = [path('admin/', admin.site.urls), path('length', csrf_exempt(length))]
urlpatterns += [
	` + page.code(t, "python", "path(") + `
]
urlpatterns += staticfiles_urlpatterns() + static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT)
`,
		"push.py": page.code(t, "python", "import logging"),
		"wsgi.py": `
import os
os.environ['DJANGO_SETTINGS_MODULE'] = 'settings'
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
`,
		"parcels/__init__.py": "",
		"parcels/models.py": `
from django.db import models
class Parcel(models.Model):
    name = models.CharField(max_length=100)
    image = models.FileField(upload_to='images', blank=True)
    def __str__(self):
        return self.name
`,
		"parcels/admin.py": page.code(t, "python", "from django.contrib import admin"),
	} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	for _, args := range [][]string{
		{"migrate", "--run-syncdb", "--verbosity=0"},
		{"createsuperuser", "--noinput", "--username=admin", "--email=admin@localhost"},
	} {
		cmd := exec.Command(python, append([]string{"-m", "django"}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PYTHONPATH="+dir, "DJANGO_SETTINGS_MODULE=settings", "DJANGO_SUPERUSER_PASSWORD="+djangoPassword)
		run(t, cmd)
	}
	addr := freeAddr(t)
	cmd := exec.Command("sh", "-c", "exec "+strings.Replace(page.code(t, "sh", "gunicorn"), "127.0.0.1:8081", addr, 1))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "no_proxy=*", "GUNICORN_CMD_ARGS=--workers 2 --worker-tmp-dir "+dir)
	start(t, "gunicorn", cmd).waitListening(t, addr)
	return addr
}

// TestAppDjango works with the admin pages of Django, a WSGI app.
func TestAppDjango(t *testing.T) {
	page := newAppPage(t, "docs/tutorials/django.md")
	behindBoth(t, page, startDjango(t, page), func(t *testing.T, url string) {
		testDjangoAdmin(t, newVisitor(t, url))
		testDjangoBodies(t, newVisitor(t, url))
		testDjangoInBrowser(t, url)
	}, testDjangoPush)
}

// testDjangoPush: the login of the admin opens the private channels, each saved object is published, and the logout
// closes.
func testDjangoPush(t *testing.T, h *holdfast) {
	v := newVisitor(t, h.url)
	h.wantShut(t, "members.news")
	form := v.fields(v.get("/admin/login/?next=/admin/"), "login-form")
	form.Set("username", "admin")
	form.Set("password", djangoPassword)
	v.location(v.post("/admin/login/?next=/admin/", form), http.StatusFound)
	members, parcels := holdSSE(t, v, "members.news", "user.1"), holdSSE(t, v, "public.parcels")
	v.do(http.MethodGet, pushPath([]string{"user.7"}), nil, nil).want(t, http.StatusForbidden)
	h.publish(t, "user.1", "for the admin")
	if got := members.receive(t); got != "for the admin" {
		t.Errorf("received %q", got)
	}
	const add = "/admin/parcels/parcel/add/"
	form = v.fields(v.get(add), "parcel_form")
	form.Set("name", "Zoë's parcel")
	v.location(v.post(add, form), http.StatusFound)
	if got := parcels.receive(t); got != "Zoë's parcel" {
		t.Errorf("received %q", got)
	}
	v.get("/admin/logout/")
	members.wantEnd(t)
}

func testDjangoAdmin(t *testing.T, v *visitor) {
	step := v.steps(t)
	const list, add = "/admin/parcels/parcel/", "/admin/parcels/parcel/add/"
	step("a stranger has to log in", func(t *testing.T) {
		v.location(v.do(http.MethodGet, "/admin/", nil, nil), http.StatusFound)
	})
	step("log in", func(t *testing.T) {
		form := v.fields(v.get("/admin/login/?next=/admin/"), "login-form")
		form.Set("username", "admin")
		form.Set("password", "wrong")
		v.post("/admin/login/?next=/admin/", form).wantText(t, "Please enter the correct username")
		form.Set("password", djangoPassword)
		v.get(v.location(v.post("/admin/login/?next=/admin/", form), http.StatusFound)).wantText(t, "Site administration")
	})
	step("styles", func(t *testing.T) { v.get("/static/admin/css/base.css").wantText(t, "body") })
	for _, c := range []struct {
		name    string
		chunked bool
	}{{"Zoë's parcel", false}, {"Zoë's chunked parcel", true}} {
		step("add "+c.name+" with an image", func(t *testing.T) {
			form := v.fields(v.get(add), "parcel_form")
			form.Set("name", c.name)
			v.location(v.postFile(add, form, "image", imageName, c.chunked, nil), http.StatusFound)
			v.get(list).wantText(t, strings.ReplaceAll(c.name, "'", "&#x27;"))
		})
	}
	step("fetch the image", func(t *testing.T) {
		image := v.get("/media/images/" + url.PathEscape(strings.ReplaceAll(imageName, " ", "_")))
		if image.body != pixel || image.Header.Get("Content-Type") != "image/png" {
			t.Errorf("%d bytes of %s", len(image.body), image.Header.Get("Content-Type"))
		}
	})
	step("log out", func(t *testing.T) {
		v.get("/admin/logout/").wantText(t, "Log in again")
		v.location(v.do(http.MethodGet, "/admin/", nil, nil), http.StatusFound)
	})
}

// testDjangoBodies: a WSGI app reads as much as Content-Length says.
func testDjangoBodies(t *testing.T, v *visitor) {
	for name, size := range map[string]int{"none": 0, "small": 5, "large": 2_000_000} {
		t.Run("chunked body, "+name, func(t *testing.T) {
			v.t = t
			header := http.Header{"Content-Type": {"application/octet-stream"}}
			body := io.MultiReader(strings.NewReader(strings.Repeat("x", size)))
			a := v.do(http.MethodPost, "/length", header, body)
			a.want(t, http.StatusOK)
			if want := fmt.Sprintf("%d bytes", size); a.body != want {
				t.Errorf("the app read %s, want %s", a.body, want)
			}
		})
	}
}

// testDjangoInBrowser does the same with a browser, in whose console no error may appear.
func testDjangoInBrowser(t *testing.T, url string) {
	t.Run("browser", func(t *testing.T) {
		b := startBrowser(t)
		b.open(url + "/admin/")
		b.fill("#id_username", "admin")
		b.fill("#id_password", djangoPassword)
		b.click("[type=submit]")
		b.waitFor("the start page", "document.title.includes('Site administration')")
		b.open(url + "/admin/parcels/parcel/add/")
		file := filepath.Join(t.TempDir(), imageName)
		writeFile(t, file, pixel)
		b.fill("#id_name", "By the browser")
		b.fill("#id_image", file)
		b.click("[name=_continue]")
		b.waitFor("the message", "document.querySelector('.messagelist .success')")
		b.click(".file-upload a")
		b.waitFor("the image", "document.contentType === 'image/png'")
		b.open(url + "/admin/logout/")
		b.waitFor("the end", "document.body.innerText.includes('Log in again')")
		b.wantQuiet(t)
	})
}
